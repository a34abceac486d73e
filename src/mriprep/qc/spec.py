"""What a page shows, as data: its sections in order, and what each needs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import yaml


@dataclass(frozen=True)
class Part:
    """A section of a page, as ``case_page.yaml`` explains its fields."""

    id: str
    title: str
    shows: str
    needs: tuple[str, ...] = ()
    look: str = ""


@functools.cache
def parts() -> tuple[Part, ...]:
    """The sections of a case's page, from top to bottom."""
    text = resources.files("mriprep.qc").joinpath("case_page.yaml").read_text("utf-8")
    return tuple(
        Part(**{**told, "needs": tuple(told.get("needs", ()))}) for told in yaml.safe_load(text)
    )


def there(has: Callable[[str], bool]) -> tuple[Part, ...]:
    """The sections whose needs are met."""
    return tuple(part for part in parts() if all(has(need) for need in part.needs))

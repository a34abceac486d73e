"""What all pages share: templates, and a policy by which nothing runs but the page's own script."""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import Any

_TEMPLATES = Path(__file__).parent / "templates"


@functools.cache
def environment() -> Any:
    """The templates of pages."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def rendered(template: str, script: str, *, beside: bool = False, **about: Any) -> str:
    """A page with its script.

    Parameters
    ----------
    template, script : str
        Names of files in ``templates/``.
    beside : bool
        Whether pictures may lie beside the page; else they are in it.
    """
    from markupsafe import Markup

    code = (_TEMPLATES / script).read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    images = "data: 'self' file:" if beside else "data:"
    policy = (
        f"default-src 'none'; img-src {images}; style-src 'unsafe-inline';"
        f" script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return str(
        environment()
        .get_template(template)
        .render(
            script=Markup(code),  # noqa: S704 - our own file, and nothing but it may run
            policy=Markup(policy),  # noqa: S704 - its quotes are no danger: nothing foreign is in it
            **about,
        )
    )

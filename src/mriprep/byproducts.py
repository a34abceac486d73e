"""By-products of steps: what is found on the way, for whoever listens."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

_kept: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("kept", default=None)


def keep(**products: Any) -> None:
    """Hand a by-product (a bias field, a score) to whoever listens; nobody else notices."""
    listener = _kept.get()
    if listener is not None:
        listener.update(products)


@contextlib.contextmanager
def keeping() -> Iterator[dict[str, Any]]:
    """Collect the by-products of the steps called inside.

    >>> with keeping() as kept:
    ...     keep(score=0.9)
    >>> kept
    {'score': 0.9}
    """
    products: dict[str, Any] = {}
    token = _kept.set(products)
    try:
        yield products
    finally:
        _kept.reset(token)

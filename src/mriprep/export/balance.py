"""How alike the parts of a split are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .strata import UNKNOWN, Person


def balance(
    persons: Sequence[Person], dealt: Mapping[str, int | None], factors: Sequence[str]
) -> list[dict[str, Any]]:
    """What each part holds: all, the folds, the test part.

    Returns
    -------
    list of dict
        ``part``, ``persons``, ``cases``; ``factors``: by name the ``mean`` and
        ``sd`` of numbers or the ``counts`` of names, ``unknown``, and ``apart``:
        how far the part is from the whole. Of numbers, the difference of means
        in standard deviations of the whole; of names, half the sum of the
        differences of shares (total variation). 0 is alike.
    """
    folds = sorted({f for f in dealt.values() if f is not None})
    parts: dict[str, list[Person]] = {"all": list(persons)}
    parts |= {f"fold {k}": [p for p in persons if dealt[p.name] == k] for k in folds}
    if any(f is None for f in dealt.values()):
        parts["test"] = [p for p in persons if dealt[p.name] is None]
    return [
        {
            "part": name,
            "persons": len(inside),
            "cases": sum(len(p.cases) for p in inside),
            "factors": {
                factor: _about(
                    [p.values[n] for p in inside], [p.values[n] for p in persons]
                )
                for n, factor in enumerate(factors)
            },
        }
        for name, inside in parts.items()
    ]  # fmt: skip


def _about(
    inside: Sequence[float | str | None], whole: Sequence[float | str | None]
) -> dict[str, Any]:
    known = [v for v in whole if v is not None]
    if known and all(isinstance(v, int | float) for v in known):
        every = np.array(known, float)
        here = np.array([v for v in inside if v is not None], float)
        if not here.size:
            return {"mean": None, "sd": None, "unknown": len(inside), "apart": None}
        spread = float(every.std())
        apart = abs(float(here.mean() - every.mean())) / spread if spread else 0.0
        return {
            "mean": round(float(here.mean()), 3),
            "sd": round(float(here.std()), 3),
            "unknown": len(inside) - here.size,
            "apart": round(apart, 3),
        }
    counts = Counter(UNKNOWN if v is None else str(v) for v in inside)
    usual = Counter(UNKNOWN if v is None else str(v) for v in whole)
    apart = sum(abs(counts[k] / max(1, len(inside)) - usual[k] / max(1, len(whole))) for k in usual)
    return {
        "counts": dict(sorted(counts.items())),
        "unknown": counts[UNKNOWN],
        "apart": round(apart / 2, 3),
    }

"""Which values of quality metrics are unusual: limits as data, reasons in words.

The limits are in ``gates.yaml`` beside this file, by contrast and, where it
matters, by field strength; `benchmarks/gates.py` shows what they catch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

Verdict = Literal["pass", "look", "fail"]
Reason = dict[str, Any]

#: From best to worst.
VERDICTS: tuple[Verdict, ...] = ("pass", "look", "fail")

_FILE = Path(__file__).with_name("gates.yaml")


class Gate(BaseModel):
    """Limits of one metric, for some contrasts and field strengths.

    Parameters
    ----------
    code : str
        Short name of what is wrong; of several gates with one code, the one that says most about
        when it holds is asked.
    metric : str
        A metric's name, or a score's with ``_score``.
    says : str
        A sentence; ``{value}`` and ``{limit}`` are filled in.
    picture : str
        The section of a case's page that shows it.
    above, below : dict
        ``look`` and ``fail``: from which value on a case is to be looked at, or fails.
    contrasts : tuple of str
        Where it holds; everywhere if empty.
    tesla : (float, float), optional
        Field strengths for which it holds.
    needed : bool
        Whether an image of which it cannot be measured is to be looked at.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str
    metric: str
    says: str
    picture: str
    above: dict[Literal["look", "fail"], float] = {}
    below: dict[Literal["look", "fail"], float] = {}
    contrasts: tuple[str, ...] = ()
    tesla: tuple[float, float] | None = None
    needed: bool = False

    @model_validator(mode="after")
    def _one_side(self) -> Gate:
        if bool(self.above) == bool(self.below):
            raise ValueError(f"{self.code}: give limits above or below, one of them")
        return self

    def holds(self, contrast: str, tesla: float | None) -> bool:
        """Whether it is meant for a scan."""
        if self.contrasts and contrast not in self.contrasts:
            return False
        if self.tesla is None:
            return True
        return tesla is not None and self.tesla[0] <= tesla <= self.tesla[1]

    def asked(self, value: float) -> Reason | None:
        """What it says of a value; None where that is usual."""
        limits, sign = (self.above, 1) if self.above else (self.below, -1)
        for level in ("fail", "look"):
            limit = limits.get(level)
            if limit is not None and sign * value > sign * limit:
                # What is usual is told by the milder limit, whichever was crossed.
                usual = limits.get("look", limit)
                return {
                    "code": self.code,
                    "level": level,
                    "says": self.says.format(value=value, limit=usual),
                    "metric": self.metric,
                    "value": value,
                    "limit": limit,
                    "picture": self.picture,
                }
        return None

    def unmeasured(self, why: str) -> Reason:
        """What it says where there is no value."""
        return {
            "code": f"{self.code}-unmeasured",
            "level": "look",
            "says": f"{self.metric} could not be measured: {why}",
            "metric": self.metric,
            "picture": self.picture,
        }


def judge(
    values: Mapping[str, float | None],
    contrast: str,
    tesla: float | None = None,
    *,
    missing: Mapping[str, str] = MappingProxyType({}),
) -> list[Reason]:
    """Reasons to look at an image, or to leave it out, by its metrics and scores.

    Parameters
    ----------
    values : mapping
        By name; what is None or missing is not judged.
    contrast : str
        T1w, T2w, ...
    tesla : float, optional
        The scanner's field strength.
    missing : mapping of str to str, optional
        Metrics that could not be measured, and why. Damage hides in what
        cannot be measured: where a gate needs its metric, that is a reason.

    Returns
    -------
    list of dict
        The worst first; empty where all is usual.
    """
    reasons = []
    for gate in _chosen(contrast, tesla):
        value = values.get(gate.metric)
        if value is not None and (reason := gate.asked(float(value))) is not None:
            reasons.append(reason)
        elif value is None and gate.needed and gate.metric in missing:
            reasons.append(gate.unmeasured(missing[gate.metric]))
    return sorted(reasons, key=lambda r: -VERDICTS.index(r["level"]))


def verdict_of(reasons: Iterable[Reason]) -> Verdict:
    """The worst of what is said; ``pass`` where nothing is."""
    levels = [r["level"] for r in reasons]
    return max(levels, key=VERDICTS.index, default="pass")


def _chosen(contrast: str, tesla: float | None) -> list[Gate]:
    """Of gates with one code, that which says most about when it holds."""
    best: dict[str, Gate] = {}
    for gate in gates():
        known = best.get(gate.code)
        if gate.holds(contrast, tesla) and (known is None or _told(gate) > _told(known)):
            best[gate.code] = gate
    return list(best.values())


def _told(gate: Gate) -> int:
    return bool(gate.contrasts) + bool(gate.tesla)


@functools.cache
def gates() -> tuple[Gate, ...]:
    """All gates, in the order of the file."""
    import yaml

    return tuple(Gate(**g) for g in yaml.safe_load(_FILE.read_text("utf-8")))

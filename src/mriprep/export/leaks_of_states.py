"""Whether something that was fitted on a cohort has seen cases that it must not have seen.

A recipe may hold fitted states: landmarks, means of tissues, site effects. A
record has them under ``states``, each with what it was fitted on::

    "states": [{"kind": "nyul", "sha256": "...", "fitted_on": {"n": 20, "split": "train fold 0",
                "cases": [{"case": "sub-01", "sha256": "<of the voxels>"}, ...]}}]

Cases are known by their hash, and by their subject: somebody whose other session was
in the fit has been seen. Texts in the place of mappings, and states by name in the place
of a list, are read too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mriprep.core import InputError

from .collect import Item
from .splits import Splits

_SUBJECT = re.compile(r"(?<![A-Za-z0-9])sub-[A-Za-z0-9]+")


@dataclass(frozen=True)
class State:
    """What a record says of a fitted state.

    Parameters
    ----------
    kind : str
        ``nyul``, ``ravel``, ...
    seen : frozenset of str
        Subjects (``sub-01``) and hashes of voxels that it was fitted on.
    number : int
        On how many images.
    split : str
        What part that was, in its own words.
    """

    kind: str
    seen: frozenset[str]
    number: int
    split: str = ""


def states_of(items: Iterable[Item]) -> list[State]:
    """The fitted states that went into images, each once.

    Raises
    ------
    InputError
        If a state does not say what it was fitted on.
    """
    found: dict[State, None] = {}
    for item in items:
        for record in item.records.values():
            for name, content in _states(record):
                found[_state(name, content, item.case)] = None
    return list(found)


def check(items: Iterable[Item], splits: Splits | None, folds: Iterable[int]) -> list[State]:
    """Refuse images whose normaliser was fitted on what validates or tests.

    Parameters
    ----------
    items : iterable of Item
        What is to be exported.
    splits : Splits or None
        Without one nothing can be said, and nothing is refused.
    folds : iterable of int
        The folds whose validation counts.

    Returns
    -------
    list of State
        The states there are.

    Raises
    ------
    InputError
        If a state was fitted on a case that is validation in one of the
        folds, or of the test part; or does not say on what.
    """
    items = list(items)
    states = states_of(items)
    if splits is None:
        return states
    for state in states:
        test = _seen(state, items, splits.test)
        if test:
            raise InputError(_leak(state, test, "of the test part"), hint=_HINT)
        for fold in folds:
            held = _seen(state, items, splits.val(fold))
            if held:
                hint = _HINT if fold == 0 else f"{_HINT}; or export one fold alone: --fold N"
                raise InputError(_leak(state, held, f"validated in fold {fold}"), hint=hint)
    return states


_HINT = (
    "fit it on the training part alone (`mriprep fit ...`), run the recipe again with that state"
)


def _leak(state: State, cases: list[str], what: str) -> str:
    some = ", ".join(cases[:5]) + (", ..." if len(cases) > 5 else "")
    part = f" (on '{state.split}')" if state.split else ""
    many = f"{len(cases)} cases that are" if len(cases) > 1 else "a case that is"
    return f"the state of {state.kind} was fitted{part} on {many} {what}: {some}"


def _seen(state: State, items: Iterable[Item], cases: Iterable[str]) -> list[str]:
    """Those of the cases that a state was fitted on."""
    held = set(cases)
    return [i.case for i in items if i.case in held and state.seen & _marks(i)]


def _marks(item: Item) -> set[str]:
    """All by which a case may be known in a state: its subject, and the hashes of its voxels."""
    marks = {f"sub-{item.subject}"}
    for record in item.records.values():
        marks |= set(_hashes(record))
    return marks


def _hashes(value: Any) -> Iterator[str]:
    """Hashes of voxels anywhere in a record, those of the states themselves not counted."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "states":
                continue
            if key == "voxels_sha256" and isinstance(inner, str):
                yield inner
            else:
                yield from _hashes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _hashes(inner)


def _states(record: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    states = record.get("states") or {}
    pairs = states.items() if isinstance(states, Mapping) else ((None, s) for s in states)
    for name, content in pairs:
        if not isinstance(content, Mapping):
            raise InputError(f"a record's state '{name}' holds no JSON object")
        inner = content.get("content", content)  # the state as it is, or what it is named beside
        yield str(inner.get("kind") or name or "a step"), inner


def _state(kind: str, content: Mapping[str, Any], case: str) -> State:
    about = content.get("fitted_on")
    cases = about.get("cases") if isinstance(about, Mapping) else None
    if not isinstance(about, Mapping) or not isinstance(cases, list) or not cases:
        raise InputError(
            f"{case}: the state of {kind} does not say on which cases it was fitted",
            hint="a leak could not be seen: fit it again (`mriprep fit ...`)",
        )
    seen: set[str] = set()
    for entry in cases:
        for text in map(str, entry.values() if isinstance(entry, Mapping) else [entry]):
            subject = _SUBJECT.search(text)
            seen.add(subject[0] if subject else text)
    return State(kind, frozenset(seen), len(cases), str(about.get("split") or ""))

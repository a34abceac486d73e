"""Strata, and dealing persons to a test part and to folds so that each is like the whole."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

#: How many bins numbers are cut into, at most.
BINS = 4
#: A number of that many values or fewer is taken as a name (a field strength, a group).
_FEW = 5
UNKNOWN = "n/a"

#: A stratum: a level of every factor.
Level = int | str
Key = tuple[Level, ...]


@dataclass(frozen=True)
class Person:
    """A person, who is dealt whole.

    Parameters
    ----------
    name : str
        The subject that stands for all of the person's subjects.
    cases : tuple of str
        All sessions.
    values : tuple
        Of each factor: a number, a text, or None where it is not known.
    """

    name: str
    cases: tuple[str, ...]
    values: tuple[float | str | None, ...]


@dataclass(frozen=True)
class Strata:
    """Strata of persons.

    Parameters
    ----------
    of : mapping of str to str
        By person, the stratum's name.
    members : mapping of str to int
        By stratum, how many persons.
    merged : tuple of str
        What was merged into what, in words.
    levels : mapping of str to tuple
        By person, the level of every factor.
    """

    of: Mapping[str, str]
    members: Mapping[str, int]
    merged: tuple[str, ...]
    levels: Mapping[str, Key]


def strata(persons: Sequence[Person], factors: Sequence[str], least: int) -> Strata:
    """Part persons by the levels of factors; strata of fewer than `least` join the nearest.

    Numbers are cut at quantiles into up to four bins, each of `least` persons
    or more. A value that is not known is a level of its own. The nearest
    stratum is the one whose levels differ least: a bin by its distance (from
    the first to the last: 1), a name by 1.

    Parameters
    ----------
    persons : sequence of Person
        In any order.
    factors : sequence of str
        Names of the persons' values.
    least : int
        The fewest persons of a stratum.
    """
    columns = [
        _levels([p.values[n] for p in persons], factor, least) for n, factor in enumerate(factors)
    ]
    keys = {p.name: tuple(c[0][i] for c in columns) for i, p in enumerate(persons)}
    names = [c[1] for c in columns]
    parts: dict[Key, list[str]] = {}
    for name in sorted(keys):
        parts.setdefault(keys[name], []).append(name)
    label = {k: ", ".join(names[n].get(v, str(v)) for n, v in enumerate(k)) or "all" for k in parts}
    groups: dict[Key, list[Key]] = {
        k: [k] for k in parts
    }  # the largest stands for those that joined
    merged = []

    def size(k: Key) -> int:
        return sum(len(parts[one]) for one in groups[k])

    while len(groups) > 1:
        small = min(groups, key=lambda k: (size(k), label[k]))
        if size(small) >= least:
            break
        near = min(
            (k for k in groups if k != small),
            key=lambda k: (_apart(small, k, names), size(k), label[k]),
        )
        keep, gone = (near, small) if size(near) >= size(small) else (small, near)
        merged.append(
            f"'{label[gone]}' ({_people(size(gone))}) joined '{label[keep]}' ({_people(size(keep))})"
        )
        groups[keep] += groups.pop(gone)
    called = {
        k: label[k] if len(inside) == 1 else f"{label[k]} (and {len(inside) - 1} more)"
        for k, inside in groups.items()
    }
    if len(groups) == 1:
        called = dict.fromkeys(groups, "all")
    of = {name: called[k] for k, inside in groups.items() for one in inside for name in parts[one]}
    members = {called[k]: size(k) for k in sorted(groups, key=called.__getitem__)}
    return Strata(of, members, tuple(merged), keys)


def _people(n: int) -> str:
    return f"{n} person{'' if n == 1 else 's'}"


def _apart(one: Key, other: Key, names: Sequence[Mapping[Level, str]]) -> float:
    """How far two strata are from one another."""
    total = 0.0
    for a, b, levels in zip(one, other, names, strict=True):
        if isinstance(a, int) and isinstance(b, int):
            bins = sum(isinstance(v, int) for v in levels)
            total += abs(a - b) / max(1, bins - 1)
        else:
            total += a != b
    return total


def _levels(
    values: Sequence[float | str | None], factor: str, least: int
) -> tuple[list[Level], dict[Level, str]]:
    """The level of each value, and what levels are called."""
    numbers = [v for v in values if isinstance(v, int | float)]
    known = [v for v in values if v is not None]
    if len(numbers) != len(known) or len(set(numbers)) <= _FEW:
        texts: list[Level] = [UNKNOWN if v is None else _text(v) for v in values]
        return texts, {t: f"{factor} {t}" for t in texts}
    bins = max(1, min(BINS, len(numbers) // max(1, least)))
    inner = np.quantile(numbers, np.arange(1, bins) / bins) if bins > 1 else np.empty(0)
    edges = np.unique(inner)
    levels: list[Level] = [
        UNKNOWN if v is None else int(np.searchsorted(edges, float(v), side="right"))
        for v in values
    ]
    ends = [min(numbers), *edges.tolist(), max(numbers)]
    called: dict[Level, str] = {
        n: f"{factor} {ends[n]:.3g} to {ends[n + 1]:.3g}" for n in range(len(ends) - 1)
    }
    return levels, called | {UNKNOWN: f"{factor} {UNKNOWN}"}


def _text(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, int | float) else value


def deal(
    persons: Sequence[Person], found: Strata, *, folds: int, test: float, seed: int
) -> dict[str, int | None]:
    """Deal persons: None is the test part, else the fold in which they validate.

    Every stratum gives its share to the test part (largest remainders), and
    the rest to the folds in turn. Among folds that have equally many of the
    stratum, the one that has fewest cases and fewest with the same levels is
    next. Chance orders those that are alike: by a hash of
    seed and name, so that the order of files does not matter.
    """
    order = {p.name: _chance(seed, p.name) for p in persons}
    groups: dict[str, list[Person]] = {}
    for person in sorted(persons, key=lambda p: order[p.name]):
        groups.setdefault(found.of[person.name], []).append(person)
    held: set[str] = set()
    for stratum, number in _shares(groups, test, seed).items():
        held |= {p.name for p in groups[stratum][:number]}
    dealt: dict[str, int | None] = dict.fromkeys(held)
    ranks = [_chance(seed, f"fold {k}") for k in range(folds)]
    cases = [0] * folds
    alike: list[dict[tuple[int, Level], int]] = [{} for _ in range(folds)]
    # The largest first, of strata and of persons: small ones even out what is left.
    for stratum in sorted(groups, key=lambda s: (-len(groups[s]), s)):
        of_stratum = [0] * folds
        rest = [p for p in groups[stratum] if p.name not in held]
        for person in sorted(rest, key=lambda p: (-len(p.cases), order[p.name])):
            levels = list(enumerate(found.levels[person.name]))

            costs = [
                (of_stratum[k], cases[k] + sum(alike[k].get(one, 0) for one in levels), ranks[k])
                for k in range(folds)
            ]
            fold = costs.index(min(costs))
            dealt[person.name] = fold
            of_stratum[fold] += 1
            cases[fold] += len(person.cases)
            for one in levels:
                alike[fold][one] = alike[fold].get(one, 0) + 1
    return dealt


def _shares(groups: Mapping[str, Sequence[Person]], test: float, seed: int) -> dict[str, int]:
    """How many of each stratum go to the test part."""
    total = sum(map(len, groups.values()))
    wanted = max(1, round(test * total)) if test > 0 else 0
    exact = {s: wanted * len(g) / total for s, g in groups.items()}
    shares = {s: math.floor(x) for s, x in exact.items()}
    remainders = sorted(groups, key=lambda s: (shares[s] - exact[s], _chance(seed, f"test {s}")))
    for stratum in remainders[: wanted - sum(shares.values())]:
        shares[stratum] += 1
    return shares


def _chance(seed: int, name: str) -> str:
    """A place in an order that is random, and the same wherever it is asked for."""
    return hashlib.sha256(f"{seed}\0{name}".encode()).hexdigest()

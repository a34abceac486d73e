"""Sorting networks: comparisons in a fixed order, which run side by side for many voxels.

A program is a list of steps ``(p, q, kept)``: the less of wires p and q goes
to p, the greater to q; `kept` says which of the two anyone looks at later.
Networks are Batcher's odd-even merges (Knuth DE. The Art of Computer
Programming 3, section 5.3.4), cut down to what leads to the wanted ranks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

BOTH, LESS, GREATER = 0, 1, 2

Step = tuple[int, int, int]


def merge(first: Sequence[int], second: Sequence[int], program: list[Step]) -> list[int]:
    """Merge two sorted lists of wires: appends to the program; returns the wires in order."""
    if not first or not second:
        return [*first, *second]
    if len(first) == len(second) == 1:
        program.append((first[0], second[0], BOTH))
        return [first[0], second[0]]
    odd = merge(first[::2], second[::2], program)
    even = merge(first[1::2], second[1::2], program)
    order = [odd[0]]
    for low, high in zip(even, odd[1:], strict=False):
        program.append((low, high, BOTH))
        order += [low, high]
    return order + odd[len(even) + 1 :] + even[len(odd) - 1 :]


def sort(wires: Sequence[int], program: list[Step]) -> list[int]:
    """Sort wires: appends to the program; returns the wires in order."""
    if len(wires) < 2:
        return list(wires)
    half = len(wires) // 2
    return merge(sort(wires[:half], program), sort(wires[half:], program), program)


def prune(program: Sequence[Step], wanted: Collection[int]) -> list[Step]:
    """The steps that the wanted wires depend on."""
    needed = set(wanted)
    kept = []
    for p, q, _ in reversed(program):
        if p in needed or q in needed:
            kept.append((p, q, BOTH if {p, q} <= needed else LESS if p in needed else GREATER))
            needed |= {p, q}
    return kept[::-1]

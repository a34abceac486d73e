"""What an export's ``README.txt`` says, whatever the format."""

from __future__ import annotations

from importlib.metadata import version

from .collect import GIVEN
from .selection import Selection


def opening(selection: Selection, title: str) -> str:
    """The first lines: what it is, of what, with which labels and folds."""
    lines = [
        f"{title}, written by mriprep {version('mriprep')}",
        "",
        f"{len(selection.items)} cases; channels: {', '.join(selection.contrasts)}.",
        "Images, masks and labels of a case lie on one grid.",
    ]
    lines.append(f"Labels: {_labels(selection)}.")
    if selection.splits is not None:
        folds = ", ".join(map(str, selection.folds)) or "none"
        lines.append(f"Folds: {folds}. Kept for the test: {len(selection.splits.test)}.")
    else:
        lines.append("No folds: there was no splits.tsv.")
    lines += [f"Fitted: {s.kind}{f', on {s.split}' if s.split else ''}." for s in selection.states]
    if selection.left:
        lines.append(f"{len(selection.left)} cases were left out: see export.json.")
    return "\n".join([*lines, "export.json says of every case from which record it comes.", "", ""])


def _labels(selection: Selection) -> str:
    """What labels there are, of how many cases; those that came with a scan bear its contrast's name."""
    labelled = [i for i in selection.items if i.labels]
    called = selection.labels
    if not labelled or not called:
        return "none"
    if called in (GIVEN, *selection.contrasts):
        called = f"given with {'the scan' if called == GIVEN else called}"
    names = ", ".join(f"{v} {n}" for v, n in sorted(selection.label_names.items()))
    some = f", of {len(labelled)} cases" if len(labelled) < len(selection.items) else ""
    return f"{called}{f' ({names})' if names else ''}{some}"

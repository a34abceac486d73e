"""Running a sample of cases again from their inputs, and comparing every voxel with what was written."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import derivatives, records
from .core import Case, InputError, MriprepError, Volume
from .freezing import gathered, recorded
from .frozen import write_frozen
from .intake import is_image
from .io.given import expanded
from .io.hashes import checked
from .io.images import read_header, read_image
from .recipe import Recipe, load_frozen
from .record import voxel_hash
from .run import Outcome, execute, listening
from .session import execute_session

#: Volumes of a 4D file that are tried, to find the one that was used.
_MOST_VOLUMES = 200


@dataclass(frozen=True)
class Verified:
    """How an output compares with the same run again.

    Parameters
    ----------
    case, file : str
        Which.
    same : bool
        Whether every voxel, the grid and what was on record are the same.
    difference : float or None
        The largest difference of a voxel; None where there is none to tell of.
    why : str
        Why it is not the same, or could not be run again.
    """

    case: str
    file: str
    same: bool
    difference: float | None = None
    why: str = ""


def verify(
    out: str | Path,
    inputs: str | Path | Sequence[str | Path],
    *,
    sample: int = 3,
    seed: int = 1,
    files: Sequence[str | Path] = (),
) -> list[Verified]:
    """Run a sample of cases again from their inputs, and compare the voxels; nothing is written.

    Parameters
    ----------
    out : path
        The folder that a run wrote.
    inputs : path or paths
        Scans, or folders that they lie in. Records know them by name and
        SHA-256, and by the hash of their voxels; others are not taken.
    sample : int
        How many cases; all, where there are not more.
    seed : int
        Which ones: the same seed takes the same cases.
    files : sequence of path
        Templates of one's own that the run used, or folders that they lie in.

    Returns
    -------
    list of Verified
        Each image, mask and label that the cases have; or one for a case
        that could not be run again, which is not the same then.

    Raises
    ------
    InputError
        If there are no records, or none of the scans that they name is among
        the inputs.
    """
    folder = expanded(out)
    cases: dict[str, list[Mapping[str, Any]]] = {}
    for content in recorded(folder):
        cases.setdefault(content["case"], []).append(content)
    if sample < 1:
        raise InputError(f"a sample of {sample} cases verifies nothing", hint="sample=3")
    chosen = sorted(random.Random(seed).sample(sorted(cases), min(sample, len(cases))))  # noqa: S311
    given = [inputs] if isinstance(inputs, str | Path) else inputs
    places = [expanded(p) for p in given]
    by_name = _listed(places)
    _some(places, by_name, [r["input"].get("file") for case in cases.values() for r in case])
    done: list[Verified] = []
    for name in chosen:
        try:
            with listening():
                done += _case(name, cases[name], folder, by_name, files)
        except MriprepError as error:
            done.append(Verified(name, "", False, why=error.message))
    return done


def _case(
    name: str,
    about: Sequence[Mapping[str, Any]],
    out: Path,
    by_name: Mapping[str, Sequence[Path]],
    files: Sequence[str | Path],
) -> Iterator[Verified]:
    """A case done again: one recipe at a time, since one may have been run a contrast at a time."""
    groups = [list(about)] if "session" in about[0] else [[r] for r in about]
    for group in groups:
        recipe = _recipe(group, out, files)
        volumes = {r["contrast"]: _input(r["input"], by_name, r["contrast"]) for r in group}
        given = {
            r["contrast"]: {
                slot: _input(told, by_name, r["contrast"], told["role"])
                for slot, told in r.get("given", {}).items()
            }
            for r in group
        }
        case = Case(name, volumes, group[0]["facts"])
        outcomes: list[Outcome]
        if recipe.session is not None:
            reference = group[0]["session"]["reference"]
            session = execute_session(recipe, case, reference=reference, given=given)
            error, outcomes = session.error, list(session.outcomes.values())
        else:
            (contrast,) = volumes
            its = given[contrast]
            outcome = execute(
                recipe, case, contrast=contrast, mask=its.get("mask"), labels=its.get("labels")
            )
            error, outcomes = outcome.error, [outcome]
        if error is not None:
            raise error if isinstance(error, MriprepError) else InputError(f"{error}")
        for outcome in outcomes:
            yield from _compared(outcome, out)


def _recipe(group: Sequence[Mapping[str, Any]], out: Path, files: Sequence[str | Path]) -> Recipe:
    """What was done to a case, as a frozen recipe would do it."""
    frozen = gathered(group, out, files)
    with tempfile.TemporaryDirectory(prefix="mriprep-") as folder:
        path = Path(folder) / "case.recipe"
        return load_frozen(write_frozen(frozen.content, frozen.files, path))


# -- inputs -----------------------------------------------------------------------------------


def _listed(places: Sequence[Path]) -> dict[str, list[Path]]:
    """Image files in some places, by name.

    Raises
    ------
    InputError
        If a place is not there.
    """
    found: dict[str, list[Path]] = {}
    for place in places:
        if not place.exists():
            raise InputError(f"the inputs '{place}' do not exist")
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if is_image(path):
                found.setdefault(path.name, []).append(path)
    return found


def _some(
    places: Sequence[Path], by_name: Mapping[str, Sequence[Path]], wanted: Iterable[str | None]
) -> None:
    """Refuse places that hold none of the scans: they are others than were meant."""
    names = sorted({name for name in wanted if name is not None})
    if names and not any(name in by_name for name in names):
        where = ", ".join(f"'{p}'" for p in places)
        raise InputError(
            f"no inputs are in {where}: none of the {len(names)} scans that the records name"
            f" ({names[0]}{', ...' if len(names) > 1 else ''})",
            hint="give the folder that holds the scans: --inputs scans/",
        )


def _input(
    told: Mapping[str, Any],
    by_name: Mapping[str, Sequence[Path]],
    contrast: str,
    role: str = "image",
) -> Volume:
    """The scan that a record speaks of: the same file, and in it the same voxels.

    Raises
    ------
    InputError
        If it is not there.
    """
    name = told.get("file")
    if name is None:
        raise InputError(
            f"its {contrast} was not read from an image file (but from DICOM, or memory):"
            " it cannot be run again from here"
        )
    paths = by_name.get(name, ())
    for path in paths:
        if checked(path) != told["file_sha256"]:
            continue
        shape = read_header(path).shape
        several = min(shape[3], _MOST_VOLUMES) if len(shape) > 3 else 1
        for number in range(several) if several > 1 else (None,):
            volume = read_image(path, role=role, volume=number).replace(file=path.name)
            if voxel_hash(volume) == told["voxels_sha256"]:
                known = contrast != "image" and role == "image"
                return volume.replace(contrast=contrast) if known else volume
    why = "has another SHA-256 than on record" if paths else "is not among the inputs"
    raise InputError(f"the input {name} {why}")


# -- outputs ----------------------------------------------------------------------------------


def _compared(outcome: Outcome, out: Path) -> Iterator[Verified]:
    """Every volume of a run against its file and its record."""
    folder = derivatives.subject_folder(outcome, out) / "anat"
    for name, volume in derivatives.volumes(outcome):
        path, case = folder / name, outcome.case.name
        if not path.is_file():
            yield Verified(case, name, False, why="the run again makes it, and it is not there")
            continue
        contrast, recorded = records.output(path)
        if contrast not in (None, outcome.contrast):
            continue  # of several contrasts run one by one, the last one's mask is left
        written = read_image(path, role=volume.role)
        same = voxel_hash(volume)
        difference, why = None, ""
        if not written.grid.matches(volume.grid):
            why = f"another grid: {written.grid} was written, {volume.grid} is made now"
        else:
            difference = _difference(written, volume)
            if voxel_hash(written) != recorded:
                why = "the file is not what its record says: it was changed since"
            elif recorded != same:
                why = "other voxels"
        yield Verified(case, name, not why, difference, why)


def _difference(one: Volume, other: Volume) -> float:
    """The largest difference of a voxel; infinite where one alone is not finite."""
    a, b = np.asarray(one.data, np.float64), np.asarray(other.data, np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b)
    apart[(a == b) | (np.isnan(a) & np.isnan(b))] = 0
    apart[np.isnan(apart)] = np.inf
    return float(apart.max(initial=0.0))

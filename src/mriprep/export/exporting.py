"""``mriprep.export``: the one function behind the command, and the formats that it knows."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from mriprep.core import EngineMissing, InputError
from mriprep.core.errors import nearest
from mriprep.io.given import expanded

from .collect import LeftOut
from .output import Link, check_place, whole_folder, write_note
from .selection import Progress, prepare


@dataclass(frozen=True)
class Format:
    """A format that data sets are exported to.

    Parameters
    ----------
    module : str
        Where it is written, below ``mriprep.export``.
    title : str
        What it is.
    links : bool
        Whether it takes image files as they are.
    needs : str or None
        The package without which it cannot be written.
    options : tuple of str
        Options that it alone takes.
    """

    module: str
    title: str
    links: bool
    needs: str | None = None
    options: tuple[str, ...] = ()


FORMATS: Mapping[str, Format] = {
    "nnunet": Format("nnunet", "nnU-Net v2, raw data set", True, None, ("name", "number")),
    "monai": Format("monai", "MONAI (and Auto3DSeg), data lists", True),
    "torchio": Format("torchio", "TorchIO, subjects", True),
    "zarr": Format("zarr", "zarr v3, sharded, OME-Zarr 0.5", False, "zarr", ("chunk", "compress")),
    "hdf5": Format("hdf5", "HDF5, one file", False, "h5py", ("chunk", "compress")),
    "webdataset": Format("webdataset", "WebDataset, tar shards", False, None, ("shard_mb",)),
    "slices": Format(
        "slices",
        "two-dimensional slices, with an index",
        False,
        None,
        (
            "plane",
            "format",
            "keep",
            "content",
            "every",
            "spacing",
            "neighbours",
            "window",
            "shard_mb",
        ),
    ),
}


@dataclass(frozen=True)
class Done:
    """An export that was written.

    Parameters
    ----------
    folder : Path
        Where it is.
    cases : int
        How many cases are in it.
    left : tuple of LeftOut
        What is not, and why.
    notes : tuple of str
        What should be known of it.
    """

    folder: Path
    cases: int
    left: tuple[LeftOut, ...]
    notes: tuple[str, ...]


def export(
    out: str | Path,
    *,
    to: str,
    output: str | Path,
    contrasts: Sequence[str] | None = None,
    labels: str | None = None,
    passed_only: bool = True,
    fold: int | None = None,
    link: Link | None = None,
    facts: Sequence[str] = (),
    label_names: Mapping[int, str] | None = None,
    replace: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Done:
    """Export what a run made as a data set of a training framework.

    Parameters
    ----------
    out : path
        What `mriprep run` wrote. Its ``splits.tsv`` says which cases train,
        validate and test.
    to : str
        ``nnunet``, ``monai``, ``torchio``, ``zarr``, ``hdf5``, ``webdataset`` or
        ``slices``.
    output : path
        A folder that is empty or not there yet. For nnU-Net it may be
        ``nnUNet_raw``, which gets the data set's own folder.
    contrasts : sequence of str, optional
        The channels, in this order; all contrasts by default. Cases that
        lack one are left out.
    labels : str, optional
        Which labels: ``given`` (with the scan), ``brain``, ``tissues``, ...,
        ``none``.
    passed_only : bool
        Leave out what failed by quality or rating.
    fold : int, optional
        Only this fold of the split.
    link : {"hard", "symbolic"}, optional
        Link files instead of copying them.
    facts : sequence of str
        Facts to take along beyond age, sex, site and scanner.
    label_names : mapping of int to str, optional
        What values of labels mean.
    replace : bool
        Replace an earlier export in `output`, whole.
    progress : callable, optional
        Told the case, its number and how many there are.
    **options
        Of the format: ``name`` and ``number`` (nnU-Net), ``chunk`` and
        ``compress`` (zarr, HDF5), ``shard_mb`` (WebDataset); of slices those
        of :func:`mriprep.export.slices.write`.

    Returns
    -------
    Done
        Where it is, how many cases, what is left out.

    Raises
    ------
    InputError
        If nothing can be exported, or a fitted state has seen what validates
        or tests.
    GeometryError
        If images and labels of a case are not on one grid.
    EngineMissing
        If the format's package is not installed.
    OutputError
        If something else lies in `output`, or it cannot be written.
    """
    form = format_of(to, link, options)
    module = importlib.import_module(f"{__package__}.{form.module}")
    target = expanded(output)
    if hasattr(module, "target"):  # nnU-Net names its folders itself
        target = module.target(target, options.get("name"), options.get("number"))
    _apart(target, Path(out))
    check_place(target, replace=replace)  # before hours of reading
    selection = prepare(
        out, contrasts=contrasts, labels=labels, passed_only=passed_only, fold=fold, facts=facts,
        label_names=label_names, progress=progress,
    )  # fmt: skip
    known = {k: v for k, v in options.items() if v is not None}
    if form.links:
        known["link"] = link
    with whole_folder(target, replace=replace) as folder:
        written = module.write(selection, folder, progress=progress, **known)
        write_note(folder, to, written)
    notes = list(written.notes)
    if selection.splits is None:
        notes.append(
            "no splits.tsv: exported without folds; `mriprep split OUT --by subject --folds 5` makes"
            " them"
        )
    if selection.states and selection.splits is None:
        kinds = ", ".join(sorted({s.kind for s in selection.states}))
        notes.append(f"{kinds} was fitted on a cohort: validate on none of the cases it has seen")
    return Done(target, len(written.selection.items), written.selection.left, tuple(notes))


def format_of(to: str, link: str | None, options: Mapping[str, Any]) -> Format:
    """The format of that name, with what is asked of it checked.

    Raises
    ------
    InputError
        If there is none, or it does not take an option.
    EngineMissing
        If its package is not installed.
    """
    if to not in FORMATS:
        raise InputError(f"there is no format '{to}'", hint=nearest(to, FORMATS))
    form = FORMATS[to]
    if link is not None and link not in get_args(Link):
        raise InputError(f"'{link}' is no way to link", hint=nearest(str(link), get_args(Link)))
    if link is not None and not form.links:
        takers = ", ".join(n for n, f in FORMATS.items() if f.links)
        raise InputError(
            f"{to} holds voxels of its own: there is nothing to link",
            hint=f"--link is for {takers}",
        )
    for name, value in options.items():
        takers = ", ".join(n for n, f in FORMATS.items() if name in f.options)
        if not takers:
            known = sorted({o for f in FORMATS.values() for o in f.options})
            raise InputError(f"there is no option '{name}'", hint=nearest(name, known))
        if value is not None and name not in form.options:
            raise InputError(f"{to} takes no '{name}'", hint=f"it is for {takers}")
    if form.needs and importlib.util.find_spec(form.needs) is None:
        raise EngineMissing(
            f"{to} needs the package {form.needs}, which is not installed",
            hint='pip install "mriprep[export]"',
        )
    return form


def options_of(formats: Sequence[str], given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of each format, those of the options given that it takes; all is checked.

    Parameters
    ----------
    formats : sequence of str
        Names of formats. One alone is asked to take every option; of several, each option
        needs one that takes it.
    given : mapping
        Options by name, ``link`` among them; other words are passed over, and None is not given.

    Raises
    ------
    InputError, EngineMissing
        As :func:`format_of`.
    """
    every = {o for f in FORMATS.values() for o in f.options}
    options = {k: v for k, v in given.items() if k in every and v is not None}
    link, taken = given.get("link"), {}
    for to in dict.fromkeys(formats):
        alone = len(set(formats)) == 1 or to not in FORMATS
        form = format_of(to, link if alone else None, options if alone else {})
        taken[to] = {k: v for k, v in options.items() if k in form.options}
        if link is not None and form.links:
            taken[to]["link"] = link
    for name in ("link", *options) if link is not None else options:
        if not any(name in t for t in taken.values()):
            takers = [
                n for n, f in FORMATS.items() if name in f.options or (name == "link" and f.links)
            ]
            raise InputError(
                f"none of {', '.join(taken)} takes '{name}'", hint=f"it is for {', '.join(takers)}"
            )
    return taken


def _apart(target: Path, out: Path) -> None:
    """Refuse to export into what is exported."""
    inside, outer = (Path(os.path.realpath(p)) for p in (target, expanded(out)))
    if inside == outer:
        raise InputError("the export's folder is OUT itself", hint="give another folder")

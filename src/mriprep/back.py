"""The way back: ``mriprep.restore`` and ``mriprep.apply``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy.typing as npt

from . import carry, records
from .core import Case, Grid, InputError, Role, Transform, Volume
from .intake import is_image, read
from .io.given import expanded


class Recorded(Protocol):
    """What has a record: a :class:`mriprep.Run`."""

    @property
    def record(self) -> dict[str, Any]:
        """What was done, as plain data."""
        ...


Record = Recorded | Mapping[str, Any] | str | Path
Prediction = Volume | npt.NDArray[Any] | str | Path


def restore(
    prediction: Prediction,
    record: Record | None = None,
    *,
    role: Role | str | None = None,
    like: Volume | Grid | None = None,
    ignore_header: bool = False,
    labels: Literal["onehot", "nearest"] = "onehot",
    antialias: bool = True,
    argmax: bool = False,
) -> Volume | tuple[Volume, ...]:
    """Bring a network's output from the preprocessed grid to the native one.

    Undoes, in one interpolation, all that a run did to the grid: slices,
    crop, pad, reorientation and resampling to a template. Labels and masks
    get the label with most weight (each label's indicator interpolated
    linearly and averaged over the native voxel where that is the larger
    one), probabilities and images are interpolated linearly.

    Parameters
    ----------
    prediction : Volume, (X, Y, Z) or (X, Y, Z, classes) array, or path
        On the preprocessed grid. A path is an image, a ``.npy`` array, or a
        folder of predicted slices with the names of mriprep's. Of a 4D image
        every volume is a class, background first.
    record : Run, mapping or path, optional
        The run's record: a :class:`Run`, its ``record``, the JSON file, an
        output beside it, or the output folder. Without it, it is looked for
        around the prediction's path by its case's name.
    role : {"image", "mask", "labels", "probability"}, optional
        What the voxels mean. By default the volume's role if it is not an
        image; else the BIDS suffix (``_dseg``, ``_mask``, ``_probseg``); else
        as they look: whole numbers are labels, fractions in [0, 1]
        probabilities.
    like : Volume or Grid, optional
        Another grid of the native world to bring it to.
    ignore_header : bool
        Take the voxels as those of the preprocessed grid, whatever the
        prediction's own affine: for networks that drop headers.
    labels : {"onehot", "nearest"}
        How labels and masks are interpolated.
    antialias : bool
        Whether to average over voxels that are larger than those of the
        preprocessed grid.
    argmax : bool
        Of classes, give the most likely one of each voxel, as labels.

    Returns
    -------
    Volume or tuple of Volume
        On the native grid; one a class, where there are classes. What the
        preprocessed grid does not cover is background: 0, and of
        probabilities that sum to 1, class 0.

    Raises
    ------
    GeometryError
        If the prediction does not lie on the preprocessed grid.
    InputError
        If prediction or record cannot be read, or no record is found.
    """
    given = expanded(prediction) if isinstance(prediction, str | Path) else prediction
    done = carry.bring_back(
        given,
        found_record(record, given),
        role=role,
        like=like.grid if isinstance(like, Volume) else like,
        ignore_header=ignore_header,
        labels=labels,
        antialias=antialias,
        argmax=argmax,
    )
    return done.volumes if len(done.volumes) > 1 else done.volumes[0]


def apply(
    volume: Volume | str | Path,
    record: Record | Transform,
    to: Literal["template", "native"] | Volume | Grid | str | Path,
    *,
    start: Literal["native", "template"] | None = None,
    role: Role | str | None = None,
    interpolation: Literal["linear", "cubic"] = "linear",
    labels: Literal["onehot", "nearest"] = "onehot",
    antialias: bool = True,
) -> Volume:
    """Carry an image or label along the chain of a run, interpolated once.

    Parameters
    ----------
    volume : Volume or path
        Of the native world, or of the template's (the preprocessed one).
    record : Run, mapping, path or Transform
        As for :func:`restore`; or a transform, template mm to native mm.
    to : "template", "native", Volume, Grid or path
        ``"template"``: the preprocessed grid. ``"native"``: the scan's. Else
        a grid of the world that the volume is not in.
    start : {"native", "template"}, optional
        In which world the volume lies, where `to` is a grid and the volume's
        own grid does not say.
    role : {"image", "mask", "labels", "probability"}, optional
        What the voxels mean; by default as for :func:`restore`, except that
        whole numbers are labels only if neighbours are alike.
    interpolation : {"linear", "cubic"}
        For images.
    labels : {"onehot", "nearest"}
        For labels and masks.
    antialias : bool
        Whether to average where the new voxels are larger.

    Returns
    -------
    Volume

    Raises
    ------
    InputError, GeometryError
        If it lies there already, or the worlds or grids are not known.
    """
    path = expanded(volume) if isinstance(volume, str | Path) else None
    given = _one_volume(read(path)) if path is not None else volume
    assert isinstance(given, Volume)
    given = carry.role_of(given, role, path.name if path else "")
    if isinstance(record, Transform):
        chain = carry.chain_of(record)
    else:
        chain = found_record(record, path or given).chain
    if isinstance(to, str | Path) and to not in ("template", "native"):
        to = _one_volume(read(to)).grid
    done = carry.carry_along(
        given,
        chain,
        to.grid if isinstance(to, Volume) else to,
        start=start,
        labels=labels,
        interpolation=interpolation,
        antialias=antialias,
    )
    return done.volumes[0]


def found_record(record: Record | None, prediction: Any = None) -> records.Found:
    """The record that is meant, or found around a prediction's path."""
    if isinstance(record, Mapping):
        return records.of(record)
    if record is not None and not isinstance(record, str | Path):
        return records.of(record.record)
    near = prediction if isinstance(prediction, Path) else None
    grid = prediction.grid if isinstance(prediction, Volume) else None
    if grid is None and near is not None and near.is_file() and is_image(near):
        from .io.images import read_header

        affine, shape = (header := read_header(near)).affine, header.shape[:3]
        grid = Grid((shape[0], shape[1], shape[2]), affine) if affine is not None else None
    if isinstance(prediction, Volume) and prediction.meta.get("source"):
        near = Path(str(prediction.meta["source"]))
    if record is not None:
        return records.load(Path(record), near, grid)
    if near is None:
        raise InputError(
            "of an array the run is not known", hint="give its record: restore(array, record=run)"
        )
    return records.search(near, grid)


def _one_volume(found: Volume | Case) -> Volume:
    return found[found.reference] if isinstance(found, Case) else found

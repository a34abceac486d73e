"""zarr v3: an array a case, in chunks for patches, one file (shard) each; OME-Zarr 0.5 metadata.

The format of the metadata is NGFF 0.5, https://ngff.openmicroscopy.org/0.5/.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import InputError

from . import words
from .arrays import Arrays, about_changed, each
from .output import Written
from .selection import Progress, Selection

STORE = "dataset.zarr"
#: Edge of a chunk, voxels: zarr's work for each chunk outweighs what smaller ones save in reading.
CHUNK = 64
#: Edge of a shard at most, voxels.
_SHARD = 256
_NGFF = "0.5"


def write(
    selection: Selection,
    folder: Path,
    *,
    progress: Progress | None = None,
    chunk: int = CHUNK,
    compress: bool = True,
) -> Written:
    """Write ``dataset.zarr``: a group a case, image (C, X, Y, Z), labels and mask (X, Y, Z)."""
    import zarr

    check_chunk(chunk)
    root = zarr.create_group(store=str(folder / STORE), zarr_format=3)
    cases: dict[str, Any] = {}
    changed = {}
    for item, arrays in each(selection, progress):
        group = root.create_group(item.case)
        _array(group, "0", arrays.image, chunk, compress)
        group.attrs.update(
            {
                "ome": {
                    "version": _NGFF,
                    "multiscales": [_multiscale(arrays, ("c", "x", "y", "z"), item.case)],
                    "omero": {"channels": _channels(arrays.image, selection.contrasts)},
                },
                "mriprep": {
                    "case": item.case,
                    "subject": item.subject,
                    **selection.split_of(item),
                    "affine_ras": arrays.affine.tolist(),
                    "facts": selection.facts_of(item),
                    "voxels_sha256": dict(arrays.hashes),
                },
            }
        )
        if arrays.companions:
            names = list(arrays.companions)
            inner = group.create_group(
                "labels", attributes={"ome": {"version": _NGFF, "labels": names}}
            )
            for name, data in arrays.companions.items():
                about = {
                    "version": _NGFF,
                    "multiscales": [_multiscale(arrays, ("x", "y", "z"), name)],
                    "image-label": {"source": {"image": "../../"}},
                }
                part = inner.create_group(name, attributes={"ome": about})
                _array(part, "0", data, chunk, compress)
        cases[item.case] = {"files": f"{STORE}/{item.case}", "voxels_sha256": arrays.hashes}
        changed[item.case] = arrays.changed
    root.attrs["mriprep"] = {
        "schema": 1,
        "contrasts": list(selection.contrasts),
        "labels": {str(v): n for v, n in selection.label_names.items()},
        "folds": list(selection.folds),
        "cases": list(cases),
    }
    return Written(
        selection, {"store": STORE, "chunk": chunk, "compress": compress}, cases,
        words.opening(selection, "zarr v3 data set (OME-Zarr 0.5)") + _README, about_changed(changed),
    )  # fmt: skip


_README = """\
    import zarr

    root = zarr.open_group("dataset.zarr", mode="r")
    image = root["sub-01/0"]                       # (C, X, Y, Z)
    labels = root["sub-01/labels/labels/0"]        # (X, Y, Z)
    patch = image[:, 10:106, 20:116, 30:126]
    affine = root["sub-01"].attrs["mriprep"]["affine_ras"]

With torch: mriprep.torch.Dataset(this folder, patch=96). OME-Zarr 0.5 has no rotations: where the
axes of the array are not those of the world, the affine is in the attributes `mriprep` alone.
"""


def check_chunk(chunk: int) -> None:
    """Refuse chunks of no use.

    Raises
    ------
    InputError
        If the edge is not from 8 to 256.
    """
    if not 8 <= chunk <= 256:
        raise InputError(f"chunks of {chunk} voxels", hint="from 8 to 256 along an edge")


def _array(group: Any, name: str, data: npt.NDArray[Any], chunk: int, compress: bool) -> None:
    from zarr.codecs import BloscCodec

    channels, space = data.shape[:-3], data.shape[-3:]
    # A shard holds whole chunks: as many as the image needs, up to a size.
    most = max(1, _SHARD // chunk) * chunk
    shards = tuple(min(most, math.ceil(n / chunk) * chunk) for n in space)
    array = group.create_array(
        name,
        shape=data.shape,
        dtype=data.dtype,
        chunks=(*channels, chunk, chunk, chunk),
        shards=(*channels, *shards),
        # LZ4, which is read faster than a disk gives; shuffled bytes would be hardly smaller.
        compressors=BloscCodec(cname="lz4", clevel=5, shuffle="noshuffle") if compress else None,
        fill_value=0,
        dimension_names=[*("c",) * len(channels), "x", "y", "z"],
    )
    array[...] = data


def _multiscale(arrays: Arrays, axes: tuple[str, ...], name: str) -> dict[str, Any]:
    """NGFF's description of one image: axes, spacing, and where its first voxel lies."""
    extra = len(axes) - 3
    steps: list[dict[str, Any]] = [
        {"type": "scale", "scale": [1.0] * extra + [float(s) for s in arrays.spacing]}
    ]
    # A scale and a translation tell where voxels lie only if the axes point along the world's.
    along = arrays.affine[:3, :3]
    if np.allclose(along, np.diag(arrays.spacing), atol=1e-6):
        steps.append(
            {"type": "translation", "translation": [0.0] * extra + arrays.affine[:3, 3].tolist()}
        )
    return {
        "name": name,
        "axes": [
            {"name": a, "type": "channel"}
            if a == "c"
            else {"name": a, "type": "space", "unit": "millimeter"}
            for a in axes
        ],
        "datasets": [{"path": "0", "coordinateTransformations": steps}],
    }


def _channels(image: npt.NDArray[Any], contrasts: tuple[str, ...]) -> list[dict[str, Any]]:
    """Names and windows of channels, for viewers."""
    channels = []
    for contrast, data in zip(contrasts, image, strict=True):
        finite = data[np.isfinite(data)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        window = {"min": low, "max": high, "start": low, "end": high}
        channels.append({"label": contrast, "color": "FFFFFF", "active": True, "window": window})
    return channels

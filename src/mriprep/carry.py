"""The way back: a network's output to the native grid, and anything along the chain of a run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .core import GeometryError, Grid, InputError, MriprepWarning, Role, Transform, Volume
from .core.chain import Chain, Link
from .core.volume import as_role
from .intake import is_image
from .records import Found

#: Probabilities of classes that exclude each other sum to 1; float16 leaves this much off.
_SUM_TOLERANCE = 2e-2

#: As a network that copied the header has it: float32, or a quaternion's digits lost (mm).
_SAME_MM = 0.1

_SUFFIX_ROLES = {"dseg": Role.LABELS, "mask": Role.MASK, "probseg": Role.PROBABILITY}

LabelsWay = Literal["onehot", "nearest"]
ImagesWay = Literal["linear", "cubic"]


@dataclass(frozen=True)
class Carried:
    """Volumes that were carried to another grid, and what is to be said of it.

    Parameters
    ----------
    volumes : tuple of Volume
        One, or one a class.
    outside : float
        Share of their voxels that lie outside the source's field of view.
    about : dict
        Facts for the record.
    """

    volumes: tuple[Volume, ...]
    outside: float
    about: dict[str, Any] = field(default_factory=dict)


def bring_back(
    prediction: Volume | npt.NDArray[Any] | Path,
    found: Found,
    *,
    role: Role | str | None = None,
    like: Grid | None = None,
    ignore_header: bool = False,
    labels: LabelsWay = "onehot",
    antialias: bool = True,
    argmax: bool = False,
) -> Carried:
    """Bring a prediction from the preprocessed grid to the native one; see :func:`mriprep.restore`."""
    volumes, chain, about = _predicted(prediction, found, ignore_header)
    name = Path(prediction).name if isinstance(prediction, Path) else ""
    volumes = _in_role(volumes, role, name)
    # Points of the native world to points of the preprocessed one: where to look for each voxel.
    pull = chain.to_native.inverse()
    carried = _carry(volumes, pull, like or chain.native, labels, antialias)
    done = list(carried.volumes)
    if argmax:
        done = [_most_likely(done)]
    done = [v.replace(space="native", contrast=None) for v in done]
    about = {
        "undone": [link.step for link in reversed(chain.links)],
        "native_to_preprocessed_ras_mm": pull.matrix.tolist(),
        **about,
        **carried.about,
    }
    return Carried(tuple(done), carried.outside, about)


def carry_along(
    volume: Volume,
    chain: Chain,
    to: str | Grid,
    *,
    start: Literal["native", "template"] | None = None,
    labels: LabelsWay = "onehot",
    interpolation: ImagesWay = "linear",
    antialias: bool = True,
) -> Carried:
    """Carry a volume to one end of a chain, or onto another grid; see :func:`mriprep.apply`."""
    start = start or _start(volume, chain, to)
    if isinstance(to, str) and to == start:
        raise InputError(
            f"the image is said to lie in the {start} world already",
            hint="to change its grid alone: `mriprep resample IMAGE OUT --to OTHER`",
        )
    to_template = start == "native"
    grid = to if isinstance(to, Grid) else (chain.final if to_template else chain.native)
    if grid.shape == (1, 1, 1):
        raise InputError(
            f"the grid of the {to} world is not known: files in ITK's formats hold none",
            hint="say onto which grid: --to OTHER.nii.gz, an image of that world; or give the run's"
            " record instead of the transform",
        )
    pull = chain.to_native if to_template else chain.to_native.inverse()
    carried = _carry([volume], pull, grid, labels, antialias, interpolation)
    space = chain.final_name if to_template and chain.moved else "native"
    (done,) = carried.volumes
    about = {
        "from": start,
        "output_to_input_ras_mm": pull.matrix.tolist(),
        **carried.about,
    }
    return Carried((done.replace(space=space),), carried.outside, about)


def _carry(
    volumes: Sequence[Volume],
    pull: Transform,
    grid: Grid,
    labels: LabelsWay,
    antialias: bool,
    interpolation: ImagesWay = "linear",
) -> Carried:
    from .kernels import sample
    from .steps.resample import resample

    source = volumes[0].grid
    through = Transform(pull.matrix, grid, source)
    exclusive = len(volumes) > 1 and _sum_to_one(volumes)
    done = [
        resample(v, through, interpolation=interpolation, labels=labels, antialias=antialias)
        for v in volumes
    ]
    matrix = (np.linalg.inv(source.affine) @ pull.matrix @ grid.affine)[:3]
    inside = sample.nearest(np.ones(source.shape, np.uint8), matrix, grid.shape) > 0
    outside = 1 - float(inside.mean())
    if exclusive:
        done = _normalised(done, inside)
    elif len(volumes) > 1 and volumes[0].role is Role.PROBABILITY:
        warnings.warn(
            f"the probabilities of the {len(volumes)} classes do not sum to 1 in every voxel: each"
            " is taken alone, and outside the field of view all are 0",
            MriprepWarning,
            stacklevel=4,
        )
    role = volumes[0].role
    how = {
        Role.IMAGE: interpolation,
        Role.PROBABILITY: "linear",
        Role.LABELS: f"{labels} linear vote" if labels == "onehot" else labels,
        Role.MASK: f"{labels} linear vote" if labels == "onehot" else labels,
    }[role]
    about = {
        "role": str(role),
        "classes": len(volumes) if len(volumes) > 1 else None,
        "interpolation": how,
        "antialias": antialias,
        "outside_share": round(outside, 6),
        "outside_is": "background (0)" if not exclusive else "class 0, with probability 1",
    }
    return Carried(tuple(done), outside, {k: v for k, v in about.items() if v is not None})


def role_of(volume: Volume, role: Role | str | None, name: str) -> Volume:
    """A volume that is no prediction, in the role that is asked for or that it looks like."""
    if role is None and volume.role is not Role.IMAGE:
        return volume
    wanted = infer_role(volume, name, predicted=False) if role is None else as_role(role)
    return volume.replace(role=wanted)


def chain_of(transform: Transform) -> Chain:
    """The chain of a transform alone: template mm to native mm, with its grids as far as known.

    A grid that is not known is that of a single voxel, which no image has.
    """
    unknown = Grid((1, 1, 1), np.eye(4))
    native, final = transform.moving or unknown, transform.reference or unknown
    names = transform.moving_name, transform.reference_name
    return Chain(native, *names, (Link("resample", native, final, transform.matrix),))


# -- classes --------------------------------------------------------------------------------------


def _sum_to_one(volumes: Sequence[Volume]) -> bool:
    if any(v.role is not Role.PROBABILITY for v in volumes):
        return False
    total = np.zeros(volumes[0].shape, np.float32)
    for v in volumes:
        total += v.data
    return bool(np.nanmax(np.abs(total - 1)) <= _SUM_TOLERANCE)


def _normalised(volumes: Sequence[Volume], inside: npt.NDArray[np.bool_]) -> list[Volume]:
    """Sum to 1 again after interpolation; outside the field of view all is background."""
    stack = np.stack([np.clip(v.data, 0, 1) for v in volumes])
    stack[0][~inside] = 1
    stack[1:, ~inside] = 0
    stack /= stack.sum(axis=0, keepdims=True)
    return [v.replace(data) for v, data in zip(volumes, stack, strict=True)]


def _most_likely(volumes: Sequence[Volume]) -> Volume:
    """The class that is most likely in each voxel; the first of equals."""
    if len(volumes) < 2:
        raise InputError(
            "there is one class only: nothing to take the most likely of",
            hint="--argmax is for 4D probabilities, the classes last, background first",
        )
    best = np.zeros(volumes[0].shape, np.uint16)
    highest = np.array(volumes[0].data)
    for n, v in enumerate(volumes[1:], 1):
        more = v.data > highest
        best[more] = n
        highest[more] = v.data[more]
    return volumes[0].replace(best, role=Role.LABELS)


# -- what was given -------------------------------------------------------------------------------


def _predicted(
    prediction: Volume | npt.NDArray[Any] | Path, found: Found, ignore_header: bool
) -> tuple[list[Volume], Chain, dict[str, Any]]:
    """The prediction's volumes on the grid where the chain that is given with them ends."""
    from .io import predictions

    chain = found.chain
    if isinstance(prediction, Path) and prediction.is_dir():
        plane, grid = found.slices()
        chain = chain.until(grid)
        stack = predictions.read_slice_stack(prediction, chain.final, plane)
        about = {"slices": len(stack.indices), "slices_missing": stack.missing}
        if stack.missing:
            warnings.warn(
                f"{stack.missing} of the volume's {stack.missing + len(stack.indices)} {stack.plane}"
                " slices have no prediction: background there",
                MriprepWarning,
                stacklevel=4,
            )
        return stack.volumes(), chain, {"plane": stack.plane, **about}
    if isinstance(prediction, Path) and not is_image(prediction):
        if prediction.suffix != ".npy":
            raise InputError(
                f"'{prediction.name}' is not a prediction that can be read",
                hint="give an image (.nii.gz, .nrrd, .mha, ...), a .npy array on the preprocessed"
                " grid, or a folder of predicted slices",
            )
        prediction = predictions.read_array(prediction)
    if isinstance(prediction, np.ndarray):
        arrays = predictions.split_classes(prediction, chain.final)
        if arrays[0].shape != chain.final.shape:
            raise _elsewhere(arrays[0].shape, None, chain)
        return [Volume(a, chain.final) for a in arrays], chain, {"header": "none"}
    volumes = (
        [prediction] if isinstance(prediction, Volume) else predictions.read_classes(prediction)
    )
    placed = [_placed(v, chain, ignore_header) for v in volumes]
    return placed, chain, {"header": "ignored"} if ignore_header else {}


def _placed(volume: Volume, chain: Chain, ignore_header: bool) -> Volume:
    """The volume on exactly the chain's final grid."""
    final = chain.final
    if volume.grid.matches(final, _SAME_MM) or (ignore_header and volume.shape == final.shape):
        return volume.replace(grid=final)
    turned = final.reoriented(volume.grid.orientation)
    if not ignore_header and volume.grid.matches(turned, _SAME_MM):
        return volume.replace(grid=turned)  # the same voxels in another order
    raise _elsewhere(volume.shape, volume.grid, chain)


def _elsewhere(shape: tuple[int, ...], grid: Grid | None, chain: Chain) -> GeometryError:
    wanted = chain.final
    received = f"{_place(grid)}" if grid else f"an array of {shape}"
    message = (
        f"the prediction does not lie on the preprocessed grid: received {received}; the record"
        f" says {_place(wanted)}"
    )
    if grid is not None and shape == wanted.shape:
        message += f"; corners up to {grid.distance(wanted):.2f} mm apart"
        hint = (
            "if the network dropped or changed the header and the voxels are still those of the"
            " preprocessed image, in order: --ignore-header (ignore_header=True). Else it belongs"
            " to another case or run: --record"
        )
    elif shape == wanted.shape[::-1]:
        hint = "its axes are in reverse order (z, y, x): transpose the array first"
    else:
        hint = (
            "undo what the network's own pipeline did to the shape (padding, cropping, resizing)"
            " first; or it belongs to another case or run: --record"
        )
    return GeometryError(message, hint=hint)


def _place(grid: Grid) -> str:
    return f"{grid}, centred at {grid.center.round(2).tolist()} mm"


def _in_role(volumes: list[Volume], role: Role | str | None, name: str) -> list[Volume]:
    """Predictions in the role that was asked for, or that they look like; all classes in one."""
    first = volumes[0]
    if role is not None:
        wanted = as_role(role)
    elif len(volumes) > 1:
        wanted = Role.PROBABILITY
    elif first.role is not Role.IMAGE:
        wanted = first.role
    else:
        wanted = infer_role(first, name, predicted=True)
    if wanted is not Role.PROBABILITY:
        return [v.replace(role=wanted) for v in volumes]
    white = 1.0
    if first.data.dtype.kind in "iu" and max(int(v.data.max()) for v in volumes) > 1:
        # Pictures and bytes hold probabilities as shares of white.
        white = float(np.iinfo(first.data.dtype).max)
    return [v.replace(v.floats() / np.float32(white), role=wanted) for v in volumes]


def infer_role(volume: Volume, name: str = "", *, predicted: bool) -> Role:
    """What a volume is, by its BIDS suffix, else by its type and values.

    Parameters
    ----------
    volume : Volume
        Read as an image.
    name : str
        Its file's name.
    predicted : bool
        Whether a network made it: then whole numbers are labels, however
        noisy they are; of scans they are intensities, unless neighbours are alike.
    """
    from .io.images import contrast_of
    from .io.inspect import looks_like

    stem = name.split(".")[0]
    by_name = _SUFFIX_ROLES.get(stem.rpartition("_")[2].lower())
    if by_name:
        return by_name
    data = volume.data
    if data.dtype == bool:
        return Role.MASK
    if contrast_of(name) and not predicted:  # networks give their output the input's name
        return Role.IMAGE
    finite = np.isfinite(data).all() if data.dtype.kind == "f" else True
    if finite and not (data.dtype.kind == "f" and (data != np.rint(data)).any()):
        if data.size and data.min() >= 0 and data.max() <= 1:
            return Role.MASK
        if predicted:
            return Role.LABELS
        found = looks_like(volume.replace(data.astype(np.int32)))
        return Role.LABELS if found is Role.MASK else found
    low, high = float(np.nanmin(data)), float(np.nanmax(data))
    return Role.PROBABILITY if low >= 0 and high <= 1 and predicted else Role.IMAGE


def _start(volume: Volume, chain: Chain, to: str | Grid) -> Literal["native", "template"]:
    """In which of the two worlds a volume lies, as far as that can be known."""
    at: Literal["native", "template"] | None = None
    if volume.grid.matches(chain.native, _SAME_MM):
        at = "native"
    elif volume.grid.matches(chain.final, _SAME_MM):
        at = "template"
    if isinstance(to, str):
        wanted: Literal["native", "template"] = "native" if to == "template" else "template"
        if at is not None and at != wanted:
            raise InputError(
                f"the image lies on the {at} grid already",
                hint=f"--to {wanted} takes it to the other; --from {wanted}, if it is not so",
            )
        return wanted
    if at is None:
        raise InputError(
            f"the image ({volume.grid}) lies neither on the native grid ({chain.native}) nor on"
            f" the preprocessed one ({chain.final}): in which world is it?",
            hint="say --from native or --from template (start=...)",
        )
    return at

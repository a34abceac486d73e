"""Taking the face off a head."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from mriprep.core import DoubtWarning, InputError, MriprepWarning, Role, Volume
from mriprep.declare import Citation, Face, Image, Mask, Only, Unit, keep, keeping, step
from mriprep.io.inspect import looks_like

from ._anatomy import looks_stripped
from ._brain_trust import implausible
from ._common import on_grid, varied
from ._face import LEAST_SEEN, LEAST_SHOWN, Place, place, removable, shown
from ._trust import THRESHOLD

Bools = npt.NDArray[np.bool_]
Method = Literal["blank", "blur", "shear"]


@step(
    methods="Face and ears were removed by a region of the MNI152 template's world that was"
    " registered to the brain and kept {margin:g} mm away from it (method {method}).",
    citations=(
        Citation(
            "fonov2009",
            "Fonov VS et al. Unbiased nonlinear average age-appropriate brain templates from birth"
            " to adulthood. NeuroImage 2009.",
            "10.1016/S1053-8119(09)70884-5",
        ),
        Citation(
            "bischoffgrethe2007",
            "Bischoff-Grethe A et al. A technique for the deidentification of structural brain MR"
            " images. Hum Brain Mapp 2007.",
            "10.1002/hbm.20312",
        ),
    ),
    bytes_per_voxel=12,
    seconds_per_megavoxel=1.5,
)
def deface(
    image: Image,
    mask: Mask | None = None,
    face: Face | None = None,
    *,
    method: Method = "blank",
    ears: bool = True,
    margin: Annotated[float, Ge(1), Le(30), Unit("mm")] = 5.0,
    fwhm: Annotated[float, Ge(20), Le(100), Unit("mm"), Only("method", "blur")] = 60.0,
    contrast: str | None = None,
) -> Image:
    """Remove face and ears, and nothing of the brain.

    The brain says where the head lies: it is registered to MNI152, in whose
    world the face is known, for any contrast. What lies within `margin` of
    the brain stays. Nothing is interpolated, and the type of the voxels is
    kept. What was removed is handed on as the by-product ``face``, a mask. A
    scan without a face is recognised and said.

    Parameters
    ----------
    image : Volume
        A head.
    mask : Volume, optional
        Its brain, on the image's grid; looked for, if it is not given.
    face : Volume, optional
        What to remove, a mask on the image's grid that an earlier call has
        handed on: nothing is looked for then.
    method : {"blank", "blur", "shear"}
        ``blank``: face set to 0. ``blur``: averaged over `fwhm`. ``shear``:
        everything in front of a plane under the brain set to 0, after
        Quickshear.
    ears : bool
        Remove the ears too.
    margin : float
        What is nearer to the brain than this stays.
    fwhm : float
        Width of the blur.
    contrast : str, optional
        The scan's, for finding the brain: ``T1w``, ``T2w``, ``FLAIR``, ``PDw``.
        What its file says, by default.

    Returns
    -------
    Volume
        The image without its face, of the same type, on the same grid.

    Raises
    ------
    GeometryError
        If a mask is not on the image's grid.
    InputError
        If the image is empty or constant, or holds labels, or a mask is empty.
    EngineError
        If there is no head in it.

    Warns
    -----
    DoubtWarning
        If the brain, or where the head lies, may well be wrong.
    """
    values = _checked(image)
    if face is not None:
        return _by_mask(image, mask, face, method, fwhm)
    if mask is not None:
        on_grid(mask, image.grid, "deface")
        if not mask.data.any():
            raise InputError(
                "deface: the mask is empty",
                hint="give the brain's mask, or none: then the brain is looked for",
            )
    stripped, where = find(image, mask, contrast, values)
    if stripped or where is None:
        return as_it_is(image)
    return remove(image, where, method=method, ears=ears, margin=margin, fwhm=fwhm)


def find(
    image: Volume,
    mask: Volume | None,
    contrast: str | None = None,
    values: npt.NDArray[np.float32] | None = None,
) -> tuple[bool, Place | None]:
    """Whether a scan is a brain without a head, and if not, where its head lies.

    Parameters
    ----------
    image : Volume
        A head.
    mask : Volume, optional
        Its brain.
    contrast : str, optional
        As :func:`deface`'s.
    values : (X, Y, Z) float32, optional
        The image's, finite.
    """
    from .skullstrip import skullstrip

    head = image.replace(_checked(image) if values is None else values)
    facts: dict[str, Any] = {}
    if mask is None:
        with keeping() as kept:
            mask = skullstrip(head, contrast=contrast)
        facts = dict(kept.get("brain", {}))
        if facts.get("input") == "stripped":
            return True, None
    elif looks_stripped(head, mask):
        return True, None
    return False, place(head, mask, facts)


def remove(
    image: Volume, where: Place, *, method: str, ears: bool, margin: float, fwhm: float
) -> Volume:
    """Remove the face of a head whose place is known; as :func:`deface`, which says what was done."""
    brain = where.brain_on(image.grid).data
    gone = removable(
        image.grid, where, np.asarray(brain), shear=method == "shear", ears=ears, margin=margin
    )
    seen, tissue = shown(image, where)
    _doubts(where)
    if seen < LEAST_SEEN:
        state = "outside"
        _say("deface: the face lies outside of the field of view: there is little of it to remove")
    elif tissue < LEAST_SHOWN:
        state = "none"
        _say(
            f"deface: there is no face in this scan (tissue at {tissue:.0%} of the places where one"
            " has it): it seems to be removed already"
        )
    else:
        state = "found"
    return _done(
        image,
        gone,
        np.asarray(brain),
        method,
        fwhm,
        face_was=state,
        ears=ears,
        registration_score=round(where.score, 3),
        **({"brain_by": where.facts["engine"]} if "engine" in where.facts else {}),
        template_to_scan_ras_mm=where.pose.round(6).tolist(),
    )


def _checked(image: Volume) -> npt.NDArray[np.float32]:
    """Finite voxels; refused are labels, and what is constant."""
    values = image.floats()
    bad = ~np.isfinite(values)
    if bad.any():
        values[bad] = 0
    varied(values, "deface")
    whole = values.astype(np.int32) if np.abs(values).max() < 2**31 else None
    if (
        whole is not None
        and (whole == values).all()
        and looks_like(image.replace(whole)) is not Role.IMAGE
    ):
        raise InputError(
            "deface: this looks like labels or a mask (whole numbers in large even regions), which"
            " show no face: it can't be registered",
            hint="deface the scan that they were made of; labels of brain tissue show no face and stay"
            " as they are. Labels of the whole head: set them to 0 where the scan's face mask"
            " (--face-mask FACE.nii.gz) is 1",
        )
    return values


def _by_mask(image: Volume, mask: Volume | None, face: Volume, method: str, fwhm: float) -> Volume:
    """Remove what a mask says."""
    if method == "shear":
        raise InputError(
            "deface: the plane of 'shear' is found by the brain, not by a face mask",
            hint="leave one of the two out; with a face mask, method is blank or blur",
        )
    if face.role is not Role.MASK:
        raise InputError(
            f"deface: face must be a mask, got a volume of role '{face.role}'",
            hint='make it one: volume.replace(volume.data > 0, role="mask")',
        )
    on_grid(face, image.grid, "deface", "face mask")
    if not face.data.any():
        raise InputError(
            "deface: the face mask is empty: nothing would be removed",
            hint="leave it out: then the face is looked for",
        )
    gone = np.asarray(face.data)
    brain = np.zeros(gone.shape, bool)
    if mask is not None:
        on_grid(mask, image.grid, "deface")
        brain = np.asarray(mask.data)
        gone = gone & ~brain
    return _done(image, gone, brain, method, fwhm, face_was="given")


def _done(
    image: Volume, gone: Bools, brain: Bools, method: str, fwhm: float, **facts: Any
) -> Volume:
    from ._face_fill import blank, blur

    touched = int((gone & brain).sum())
    if touched:  # it can't be, by construction: then nothing is written
        raise AssertionError(f"deface would remove {touched} voxels of the brain")
    data = blur(image, gone, fwhm) if method == "blur" and gone.any() else blank(image, gone)
    keep(
        face=image.replace(gone, role="mask"),
        defaced={
            "method": method,
            **facts,
            "removed_ml": round(float(gone.sum()) * image.grid.voxel_volume / 1000, 1),
            "brain_voxels_touched": touched,
        },
    )
    return image.replace(data)


def as_it_is(image: Volume) -> Volume:
    """The image itself, where it shows no face; says so."""
    _say(
        "deface: the scan shows a brain without its skull: there is no face to remove, and it is given"
        " back as it is"
    )
    keep(
        face=image.replace(np.zeros(image.shape, bool), role="mask"),
        defaced={"face_was": "none: a brain without skull", "removed_ml": 0.0},
    )
    return image


def _doubts(where: Place) -> None:
    volume = float(where.brain.data.sum()) * where.brain.grid.voxel_volume / 1000
    if (why := implausible(volume)) is not None:
        _doubt(why)
    if where.score < THRESHOLD:
        _doubt(
            f"the registration that says where the face is has a score of {where.score:.2f},"
            f" {THRESHOLD:g} is wanted"
        )


def _doubt(why: str) -> None:
    warnings.warn(
        f"deface: what was removed is doubtful: {why}; look at it before you share this",
        DoubtWarning,
        stacklevel=5,
    )


def _say(text: str) -> None:
    warnings.warn(text, MriprepWarning, stacklevel=5)

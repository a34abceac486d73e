"""Tissue segmentation."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from mriprep.core import DoubtWarning, Grid, InputError, MriprepWarning, Role, Transform, Volume
from mriprep.core.slices import arranged
from mriprep.declare import Citation, Image, Mask, Tissues, Unit, keep, step
from mriprep.kernels.extent import bounds

from ._brain_trust import implausible
from ._common import BoolImage, FloatImage, on_grid, varied

if TYPE_CHECKING:  # they bring in numba, which listings of steps do without
    from ._tissues import Parted
    from ._tissues_prior import Places

#: Names of the labels, and of the probabilities that are kept: 1, 2, 3.
NAMES = ("csf", "gm", "wm")
#: Fewer voxels than these cannot be told apart.
LEAST = 100
#: Grey and white matter nearer to each other than this, in their deviations, are doubtful.
_LEAST_CONTRAST = 0.5
#: Of a brain, the share that grey and white matter have at least.
_LEAST_SHARE = 0.1


@step(
    methods="Voxels of the brain were parted into CSF, grey and white matter by a Markov random"
    " field with partial volumes, which fits shading along with intensities.",
    citations=(
        Citation(
            "zhang2001",
            "Zhang Y et al. Segmentation of brain MR images through a hidden Markov random field"
            " model and the expectation-maximization algorithm. IEEE Trans Med Imaging 2001.",
            "10.1109/42.906424",
        ),
        Citation(
            "vanleemput1999",
            "Van Leemput K et al. Automated model-based bias field correction of MR images of the"
            " brain. IEEE Trans Med Imaging 1999.",
            "10.1109/42.811268",
        ),
        Citation(
            "vanleemput2003",
            "Van Leemput K et al. A unifying framework for partial volume segmentation of brain MR"
            " images. IEEE Trans Med Imaging 2003.",
            "10.1109/TMI.2002.806587",
        ),
        Citation(
            "shattuck2001",
            "Shattuck DW et al. Magnetic resonance image tissue classification using a partial"
            " volume model. NeuroImage 2001.",
            "10.1006/nimg.2000.0730",
        ),
    ),
    bytes_per_voxel=48,
    seconds_per_megavoxel=0.5,
)
def tissues(
    image: Image,
    mask: Mask,
    transform: Transform | None = None,
    *,
    contrast: Literal["auto", "T1w", "T1c", "T2w", "FLAIR", "PDw"] = "auto",
    prior: Literal["auto", "template", "depth"] = "auto",
    smoothness: Annotated[float, Ge(0), Le(2)] = 0.4,
    bias_fwhm: Annotated[float, Ge(0), Le(200), Unit("mm")] = 22.0,
) -> Tissues:
    """Find cerebrospinal fluid, grey and white matter.

    Voxels may hold two tissues. What each holds is kept as probabilities
    ``tissue_csf``, ``tissue_gm`` and ``tissue_wm``, whose sum is 1 in the
    mask and 0 outside. The image itself is not changed, and stays what
    further steps work on.

    Parameters
    ----------
    image : Volume
        A scan of a head or brain, its bias field removed or not.
    mask : Volume
        The brain, on the image's grid: what `skullstrip` makes of the scan.
    transform : Transform, optional
        From MNI152 mm to the scan's mm, as `register` finds it: then the
        template says where white matter is to be expected rather than grey.
    contrast : {"auto", "T1w", "T1c", "T2w", "FLAIR", "PDw"}
        Which tissue is bright. ``auto``: what the scan's file says, else by
        how it looks.
    prior : {"auto", "template", "depth"}
        What is expected where: by the template (which is registered to,
        without `transform`), or by the depth below the brain's surface.
        ``auto``: the template with `transform`, depth without.
    smoothness : float
        How much neighbours are taken to be of one tissue.
    bias_fwhm : float
        Smoothness of the shading that is fitted along, mm; 0 for none.

    Returns
    -------
    Volume
        Labels: 1 CSF, 2 grey matter, 3 white matter, whichever the voxel
        holds most of; 0 outside the mask.

    Raises
    ------
    GeometryError
        If the mask is not on the image's grid.
    InputError
        If the mask is empty or holds too little, or the image is constant in it.

    Warns
    -----
    DoubtWarning
        If grey and white matter can hardly be told apart, or the mask holds more or less than a
        brain.
    """
    from ._tissues import WEAK, part

    on_grid(mask, image.grid, "tissues")
    inside = np.asarray(mask.data)
    count = int(inside.sum())
    if count < LEAST:
        what = "empty" if count == 0 else f"too small: {count} voxels"
        raise InputError(
            f"tissues: the mask is {what}; {LEAST} voxels of brain are the least",
            hint="give the brain's mask: `skullstrip` finds it",
        )
    values, shaded = _intensities(image, inside)
    box = _Box(image.grid, inside)
    brain, held = box.cut(values), box.cut(inside)
    kind, decided = _contrast(image, contrast, brain, held, box.grid.spacing)
    places, by = _places(image, mask, transform, prior, box)
    if kind in WEAK and by == "depth":
        _say(
            f"tissues: {kind} hardly tells grey from white matter; give `transform`, what register"
            " finds to MNI152, or prior=template, for what is expected where"
        )
    found = part(
        brain,
        held,
        box.grid.spacing,
        kind,
        places,
        smoothness=smoothness,
        bias_fwhm=bias_fwhm if shaded else 0.0,
    )
    _tell(image, found, kind, decided, by, count)
    fractions = {
        f"tissue_{name}": image.replace(box.back(f), role=Role.PROBABILITY)
        for name, f in zip(NAMES, found.fractions, strict=True)
    }
    keep(**fractions)
    return image.replace(box.back(found.labels), role=Role.LABELS)


class _Box:
    """The brain's box along the body's axes (right, front, up), so that no result depends on the file's."""

    def __init__(self, grid: Grid, inside: BoolImage) -> None:
        self.whole = grid
        self.order, self.flip = grid.axes_to("RAS")
        self.box = bounds(arranged(inside, self.order, self.flip))
        start = [s.start - 1 for s in self.box]
        self.grid = grid.reoriented("RAS").window(start, [s.stop - s.start + 2 for s in self.box])

    def cut(self, data: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The box of an array, with a margin of a voxel of zeros."""
        return np.pad(arranged(data, self.order, self.flip)[self.box], 1)

    def back(self, data: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """An array of the box where it came from; 0 elsewhere."""
        out = np.zeros(self.whole.shape, data.dtype)
        arranged(out, self.order, self.flip)[self.box] = data[1:-1, 1:-1, 1:-1]
        return out


def _intensities(image: Volume, inside: BoolImage) -> tuple[FloatImage, bool]:
    """Finite voxels scaled to about 1, and whether shading, a factor, makes sense of them."""
    values = image.floats()
    bad = inside & ~np.isfinite(values)
    count = int(bad.sum())
    if count == int(inside.sum()):
        raise InputError(
            "tissues: every voxel of the mask is NaN or infinite",
            hint="`mriprep inspect` shows what the file holds",
        )
    known = values[inside & ~bad]
    varied(known, "tissues", "image in the mask")
    low, high = (float(v) for v in np.percentile(known.astype(np.float64), (0.05, 99.9)))
    if low == high:
        low, high = float(known.min()), float(known.max())
    offset = min(low, 0.0)
    values[~np.isfinite(values)] = np.nan
    # In double precision: intensities may be near the ends of what single holds.
    scaled = ((values.astype(np.float64) - offset) / (high - offset)).astype(np.float32)
    if count:
        _say(
            f"tissues: {count} voxels of the mask are NaN or infinite; taken to be as those around"
            " them"
        )
    return _filled(scaled, bad), offset == 0.0


def _filled(values: FloatImage, bad: BoolImage) -> FloatImage:
    """Unknown voxels of the mask as the known ones around them; unknown ones elsewhere 0."""
    known = np.isfinite(values)
    if known.all():
        return values
    out = np.where(known, values, 0).astype(np.float32)
    if bad.any():
        from scipy import ndimage

        near = ndimage.gaussian_filter(out, 1.5)
        share = ndimage.gaussian_filter(known.astype(np.float32), 1.5)
        usual = np.median(out[known])
        out[bad] = np.where(share[bad] > 0.01, near[bad] / np.maximum(share[bad], 0.01), usual)
    return out


def _contrast(
    image: Volume, wanted: str, brain: FloatImage, held: BoolImage, spacing: tuple[float, ...]
) -> tuple[str, str]:
    """The contrast, and by what it was decided."""
    from ._tissues import ORDERS, looks_like

    named = str(image.meta.get("contrast") or "")
    if wanted != "auto":
        return wanted, "as told"
    if named in ORDERS:
        return named, "the scan's file"
    x, y, z = spacing
    kind = looks_like(brain, held, (x, y, z))
    _say(f"tissues: the contrast is not known; by its looks it is taken to be {kind}-like")
    return kind, "looks"


def _places(
    image: Volume,
    mask: Volume,
    transform: Transform | None,
    prior: str,
    box: _Box,
) -> tuple[Places | None, str]:
    """What is expected where, and by what; None for depth."""
    from . import _tissues_prior as prior_of

    if transform is not None:
        transform = prior_of.checked(transform)
    if prior == "depth":
        return None, "depth"
    way = prior_of.way(image, transform) if transform is not None else None
    if way is not None:
        return prior_of.by_template(box.grid, way), "template"
    if prior == "auto":
        return None, "depth"
    way, score = prior_of.registered(image, mask)
    if way is not None:
        return prior_of.by_template(box.grid, way), "template, registered for it"
    if prior == "template":
        _say(f"tissues: the registration to the template is not trusted ({score:.2f}): not used")
    return None, "depth"


def _tell(image: Volume, found: Parted, kind: str, decided: str, by: str, count: int) -> None:
    """Keep volumes and the model; say what is doubtful."""
    ml = image.grid.voxel_volume / 1000
    volumes = [float(f.sum(dtype=np.float64)) * ml for f in found.fractions]
    contrast = found.model.contrast_to_noise
    keep(
        **{f"{name}_ml": round(v, 1) for name, v in zip(NAMES, volumes, strict=True)},
        tissue_model={
            "contrast": kind,
            "decided_by": decided,
            "prior": by,
            "gm_wm_contrast_to_noise": round(contrast, 2),
            "shading_from": round(found.shading[0], 3),
            "shading_to": round(found.shading[1], 3),
        },
    )
    whole = count * ml
    if (why := implausible(whole)) is not None:
        _doubt(why)
    shares = [v / whole for v in volumes[1:]]
    if contrast < _LEAST_CONTRAST or min(shares) < _LEAST_SHARE:
        _doubt(
            "grey and white matter can hardly be told apart (they lie"
            f" {contrast:.1f} deviations apart; {shares[0]:.0%} and {shares[1]:.0%} of the mask)"
        )


def _doubt(why: str) -> None:
    warnings.warn(
        f"the tissues are doubtful: {why}; look at them before you use them",
        DoubtWarning,
        stacklevel=5,
    )


def _say(text: str) -> None:
    warnings.warn(text, MriprepWarning, stacklevel=5)

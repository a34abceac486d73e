"""Brain extraction."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le, Lt

from mriprep.core import DoubtWarning, EngineError, InputError, MriprepWarning, Role, Volume
from mriprep.core.age import parse_age
from mriprep.declare import NO_ENGINE, Citation, Image, Mask, Unit, keep, step
from mriprep.io.inspect import looks_like

from . import _brain
from ._brain_input import is_defaced, is_even, stripped
from ._brain_mask import moved, one_piece
from ._brain_surface import Coarse
from ._brain_trust import SLAB_MM, THRESHOLD, BrainTrust, expected_ml, judge, thickness
from ._common import finite, varied

#: Years that "adult" stands for where a volume is expected.
_ADULT = 30.0
#: Of a mask's surface, at the border of the scan: more, and the scan shows a part of the brain.
_CUT = 0.04


@step(
    kind="brain",
    begins=_brain.begins_with,
    methods="The brain was extracted with {engine}.",
    citations=(
        Citation(
            "fisch2024",
            "Fisch L et al. deepbet: Fast brain extraction of T1-weighted MRI using convolutional"
            " neural networks. Comput Biol Med 2024.",
            "10.1016/j.compbiomed.2024.108845",
            engine="deepbet",
        ),
        Citation(
            "hoopes2022",
            "Hoopes A et al. SynthStrip: skull-stripping for any brain image. NeuroImage 2022.",
            "10.1016/j.neuroimage.2022.119474",
            engine="synthstrip",
        ),
        Citation(
            "isensee2019",
            "Isensee F et al. Automated brain extraction of multisequence MRI using artificial"
            " neural networks. Hum Brain Mapp 2019.",
            "10.1002/hbm.24750",
            engine="hd-bet",
        ),
        Citation(
            "fani2025",
            "Fani A et al. MindGrab for BrainChop: fast and accurate skull stripping for command"
            " line and browser. arXiv 2025.",
            "10.48550/arXiv.2506.11860",
            engine="mindgrab",
        ),
    ),
)
def skullstrip(
    image: Image,
    *,
    engine: Literal["auto", "deepbet", "hd-bet", "synthstrip", "mindgrab", "template"] = "auto",
    threshold: Annotated[float, Gt(0), Lt(1)] = 0.5,
    border: Annotated[float, Ge(-10), Le(30), Unit("mm")] = 0.0,
    check: bool = False,
    age: float | str | None = None,
    contrast: str | None = None,
    weights: str | None = None,
    output: Literal["mask", "image"] = "mask",
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> Mask:
    """Find the brain.

    Every mask is judged: by its volume for the age, its shape and symmetry,
    the edges it lies on, and what it parts. One that is not trusted is looked
    for again by another engine (``auto``), and said to be doubtful if that
    does not help. A scan that is stripped already is seen to be, and no
    network is run.

    Parameters
    ----------
    image : Volume
        A head.
    engine : {"auto", "deepbet", "hd-bet", "synthstrip", "mindgrab", "template"}
        What finds it. ``auto``: deepbet where the scan is T1-weighted, else
        the best engine for any contrast whose weights are here; another one
        where the result is not trusted, and what they agree on where they
        differ.
    threshold : float
        Probability above which a voxel is brain.
    border : float
        How far to move the mask's surface outwards (or, negative, inwards), mm.
    check : bool
        Ask a second engine in any case, and score how far the two agree.
    age : float or str, optional
        For the volume to expect: years, or with a unit as in ``30mo``, or
        ``adult``. In a recipe, the case's.
    contrast : str, optional
        The scan's: ``T1w``, ``T1c``, ``T2w``, ``FLAIR``, ``PDw``. What its
        file says, by default.
    weights : str, optional
        A file or folder of weights to use instead of those that are installed.
    output : {"mask", "image"}
        The mask, or the image with everything else set to 0.
    device : {"auto", "cpu", "cuda"}
        Where networks run.

    Returns
    -------
    Volume
        The mask, one piece without holes, on the image's grid; or the image.

    Raises
    ------
    InputError
        If the image is empty or constant, or holds labels, or weights are given without their engine.
    EngineError
        If no brain is found, or none is left within the border.
    EngineMissing
        If the engine, or its weights, are not there.

    Warns
    -----
    DoubtWarning
        If the mask may well be wrong.
    """
    if weights and engine == "auto":
        raise InputError(
            "skullstrip: weights belong to one engine, and engine=auto may take several",
            hint="say which engine they are for, for instance engine=synthstrip",
        )
    values = finite(image, "skullstrip")
    varied(values, "skullstrip")
    _no_labels(image, values)
    head = image.replace(values)
    years = None if age is None else parse_age(age).years
    if age is not None and years is None:  # "adult"
        years = _ADULT
    brain = stripped(image, expected_ml(years)[1])
    if brain is not None:
        inside, trust, facts = _as_it_is(head, brain, years)
    else:
        inside, trust, facts = _looked_for(
            head,
            engine=engine,
            threshold=threshold,
            check=check,
            age=years,
            contrast=contrast,
            weights_at=weights,
            device=device,
        )
    if border:
        inside = one_piece(moved(inside, image.grid, border))
        if not inside.any():
            raise EngineError(
                f"nothing of the brain is left within a border of {border:g} mm",
                hint="move the border less far inwards",
            )
    volume = float(inside.sum()) * image.grid.voxel_volume / 1000
    keep(brain_volume_ml=round(volume, 1), brain=facts)
    if not trust.trusted:
        _doubt(trust, facts)
    mask = image.replace(inside, role="mask")
    if output == "image":
        keep(mask=mask)
        kept = inside & np.isfinite(image.data)
        return image.replace(np.where(kept, image.data, np.zeros((), image.data.dtype)))
    return mask


def _no_labels(image: Volume, values: npt.NDArray[np.float32]) -> None:
    """Refuse labels that were read as an image: on black, they would pass for a stripped brain."""
    whole = values.astype(np.int32)
    if (whole == values).all() and looks_like(image.replace(whole)) is Role.LABELS:
        raise InputError(
            "skullstrip: this looks like labels (whole numbers in large even regions), not like a"
            " scan",
            hint="give the scan that the labels were made of; `mriprep inspect` tells what a file"
            " holds",
        )


def _as_it_is(
    image: Volume, brain: npt.NDArray[np.bool_], age: float | None
) -> tuple[npt.NDArray[np.bool_], BrainTrust, dict[str, Any]]:
    _say(
        "the scan shows a brain without its skull already: what it shows is taken as the mask, and"
        " no network is run"
    )
    trust = judge(Coarse.of(image), brain, image.grid, age, volume_alone=True)
    return brain, trust, {"engine": NO_ENGINE, **trust.facts(), "input": "stripped"}


def _looked_for(
    image: Volume, **how: Any
) -> tuple[npt.NDArray[np.bool_], BrainTrust, dict[str, Any]]:
    coarse = Coarse.of(image)
    answer, facts = _brain.find(image, coarse, **how)
    trust = answer.trust
    if thickness(image.grid) < SLAB_MM:
        facts["input"] = "part of a head"
    elif is_even(coarse):
        trust = trust.no_head()
        facts = {**facts, **trust.facts(), "input": "even"}
    elif trust.trusted and is_defaced(image, answer.mask):
        facts["input"] = "defaced"
        _say("the face has been removed from this scan: the brain was looked for all the same")
    if trust.measures.get("touch", 0.0) > _CUT and "input" not in facts:
        facts["input"] = "part of a head"
        _say(
            f"the brain is cut off by the border of the scan ({trust.measures['touch']:.0%} of its"
            " surface lies there): its volume is that of a part"
        )
    return answer.mask, trust, facts


def _doubt(trust: BrainTrust, facts: dict[str, Any]) -> None:
    tried = ", ".join(facts.get("tried", ())) or NO_ENGINE
    warnings.warn(
        f"the brain mask is doubtful: its score is {trust.score:.2f}, {THRESHOLD:g} is wanted"
        f" ({trust.why}; tried: {tried}); look at it before you use this",
        DoubtWarning,
        stacklevel=4,  # this function, the step, its checks, the caller
    )


def _say(text: str) -> None:
    warnings.warn(text, MriprepWarning, stacklevel=5)

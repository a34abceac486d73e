"""A scan of the digital head, and everything that is true about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import Grid, InputError, Role, Transform, Volume
from mriprep.core.errors import nearest

from .anatomy import TISSUES
from .fields import BiasKind, add_noise, bias_field
from .sampling import BRAIN, CONTRASTS, sample
from .shapes import Floats
from .solids import LANDMARKS

#: Intensity of white matter in an image, by type of voxel; one byte holds less.
WHITE_MATTER: Mapping[str, float] = MappingProxyType(
    {"float32": 1000.0, "float64": 1000.0, "int16": 1000.0, "uint16": 1000.0, "uint8": 100.0}
)

#: Intracranial volume of the template head and of an average adult, ml.
TEMPLATE_INTRACRANIAL_ML = 1930.0
ADULT_INTRACRANIAL_ML = 1500.0

# The field of view takes in an ellipsoid about the head; the neck runs out of it.
_VIEW_CENTER = (0.0, -7.0, -10.0)
_VIEW_HALF_MM = (93.0, 122.0, 113.0)


@dataclass(frozen=True, eq=False)
class Phantom:
    """A simulated scan with known truth; every volume lies on the image's grid.

    Parameters
    ----------
    image : Volume
        The scan: tissues, bias field and noise.
    clean : Volume
        The same without bias field and noise, float32.
    brain : Volume
        Mask of the brain.
    bias_field : Volume
        The multiplicative field, mean 1 within the brain.
    pose : Transform
        Template mm to image mm, RAS+: what a registration of this scan
        (moving) to the template (reference) should find. Rigid, or with a
        uniform scale where an age was asked for.
    tissues : Volume or None
        Labels, the most abundant tissue of each voxel; :data:`TISSUES` names
        them. None where labels were not asked for.
    probabilities : mapping of str to Volume
        Fraction of ``csf``, ``gm`` and ``wm``. Empty where labels were not
        asked for.
    facts : mapping
        The arguments it was made with.
    """

    image: Volume
    clean: Volume
    brain: Volume
    bias_field: Volume
    pose: Transform
    tissues: Volume | None = None
    probabilities: Mapping[str, Volume] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        """The grid of all its volumes."""
        return self.image.grid

    def landmarks(self) -> dict[str, tuple[float, float, float]]:
        """Named points of the head in the image's world, mm, RAS+."""
        moved = self.pose(list(LANDMARKS.values())).round(6).tolist()
        return {name: (x, y, z) for name, (x, y, z) in zip(LANDMARKS, moved, strict=True)}

    def truth(self) -> dict[str, Any]:
        """What is true about the scan, as plain data."""
        inside = self.brain.data
        ml = self.grid.voxel_volume / 1000
        truth: dict[str, Any] = {
            **self.facts,
            "grid": self.grid.to_dict(),
            "pose_template_to_image_ras_mm": self.pose.matrix.tolist(),
            "brain_ml": float(inside.sum()) * ml,
            "bias_range_in_brain": [
                float(f(self.bias_field.data[inside])) if inside.any() else 1.0
                for f in (np.min, np.max)
            ],
            "landmarks_image_ras_mm": {k: list(p) for k, p in self.landmarks().items()},
        }
        if self.tissues is not None:
            counts = np.bincount(self.tissues.data.ravel(), minlength=max(TISSUES.values()) + 1)
            truth["tissue_ml"] = {name: float(counts[n]) * ml for name, n in TISSUES.items()}
        return truth


def head(
    contrast: str = "T1w",
    *,
    age: float | None = None,
    spacing: float | Sequence[float] = 1.0,
    orientation: str = "RAS",
    pose: Transform | None = None,
    rotation: Sequence[float] = (0.0, 0.0, 0.0),
    translation: Sequence[float] = (0.0, 0.0, 0.0),
    grid: Grid | None = None,
    noise: float = 0.03,
    bias: float = 0.2,
    bias_kind: BiasKind = "smooth",
    labels: bool = True,
    lesion: bool = False,
    dtype: str = "float32",
    seed: int = 0,
) -> Phantom:
    """Scan the digital head.

    The head is drawn once around the brain of the MNI152 template (Fonov
    2009, doi:10.1016/S1053-8119(09)70884-5) and evaluated directly on the
    scan's grid, so that the truth is exact. The same arguments give the same
    voxels on any machine with the same libraries.

    Parameters
    ----------
    contrast : {"T1w", "T2w", "FLAIR", "PDw"}
        Weighting.
    age : float, optional
        Years, 0 to 120: the head is scaled uniformly to the mean intracranial
        volume at that age. Left out, it has the template's size.
    spacing : float or (3,) floats
        Voxel size along the array axes, mm. Voxels wider than 1 mm average
        over their extent.
    orientation : str
        Where the array axes point, for instance ``"LPS"``.
    pose : Transform, optional
        Template mm to image mm, in place of `rotation` and `translation`.
    rotation : (3,) floats
        Turn of the head about x, y and z, degrees, about the template's
        origin (the anterior commissure).
    translation : (3,) floats
        Then shift, mm, RAS+.
    grid : Grid, optional
        Scan on exactly this grid, oblique ones too, in place of `spacing` and
        `orientation`.
    noise : float
        Standard deviation of the Rician noise relative to white matter.
    bias : float
        Range of the bias field within the brain, relative to its mean.
    bias_kind : {"smooth", "coil", "surface"}
        A few long waves; bright near the surface as receive coils make it; or
        a strong fall-off from one side to the other, as from a surface coil.
    labels : bool
        Give tissue labels and probabilities too (slower).
    lesion : bool
        Put a lesion of about 13 mm radius in the right hemisphere's white matter.
    dtype : {"float32", "float64", "int16", "uint16", "uint8"}
        Type of the image's voxels; white matter is about 1000 (100 in uint8).
    seed : int
        Of bias field and noise, 0 or more.

    Returns
    -------
    Phantom

    Raises
    ------
    InputError
        If an argument is out of range, or a pose is given twice.
    EngineMissing
        If nilearn, which carries the template's maps, is not installed.
    """
    _check(contrast, dtype, age, noise, bias, seed)
    full_pose = _pose(pose, rotation, translation, age)
    grid = grid or _view(full_pose).reoriented(orientation).with_spacing(spacing)
    full_pose = Transform(full_pose.matrix, None, grid, "template", "phantom")
    meta = {"contrast": contrast, "source": "phantom"}
    white = np.float32(WHITE_MATTER[dtype])

    brain = sample(BRAIN, grid, full_pose) > 0.5
    clean = sample(contrast, grid, full_pose, lesion=lesion) * white
    shading = bias_field(grid, brain, bias, bias_kind, seed)
    image = add_noise(clean * shading, noise * float(white), seed)
    tissues, probabilities = _labels(grid, full_pose, lesion) if labels else (None, {})
    return Phantom(
        image=Volume(_as_type(image, dtype), grid, meta=meta),
        clean=Volume(clean, grid, meta=meta),
        brain=Volume(brain, grid, Role.MASK),
        bias_field=Volume(shading, grid),
        pose=full_pose,
        tissues=tissues,
        probabilities=MappingProxyType(probabilities),
        facts=MappingProxyType(
            {
                "contrast": contrast,
                "age_years": age,
                "noise_sigma": noise * float(white),
                "white_matter": float(white),
                "bias": bias,
                "bias_kind": bias_kind,
                "lesion": lesion,
                "seed": seed,
            }
        ),
    )


def template(contrast: str = "T1w", spacing: float = 1.0) -> Volume:
    """The head in template space (MNI152 mm, RAS), without noise or bias field.

    Parameters
    ----------
    contrast : {"T1w", "T2w", "FLAIR", "PDw"}
        Weighting.
    spacing : float
        Voxel size, mm.
    """
    return head(contrast, spacing=spacing, noise=0, bias=0, labels=False).image


def template_brain(spacing: float = 1.0) -> Volume:
    """Mask of the brain of :func:`template`, on the same grid."""
    return head(spacing=spacing, noise=0, bias=0, labels=False).brain


def landmarks() -> dict[str, tuple[float, float, float]]:
    """Named points of the template head, mm, RAS+."""
    return dict(LANDMARKS)


def intracranial_volume(age: float) -> float:
    """Mean intracranial volume at an age in years, ml.

    A saturating curve through the rounded numbers of the growth literature:
    about 780 ml at six months, 1170 ml at two years, 1480 ml at seven and
    1500 ml in adults, girls and boys together.
    """
    return float(ADULT_INTRACRANIAL_ML * (1 - 0.63 * np.exp(-age / 1.9)))


def _labels(grid: Grid, pose: Transform, lesion: bool) -> tuple[Volume, dict[str, Volume]]:
    names = [name for name in TISSUES if lesion or name != "lesion"]
    label = np.zeros(grid.shape, np.uint8)
    air = np.ones(grid.shape, np.float32)
    best = np.zeros(grid.shape, np.float32)
    probabilities = {}
    for name in names:
        fraction = sample(name, grid, pose, lesion=lesion)
        air -= fraction
        more = fraction > best
        label[more] = TISSUES[name]
        np.maximum(best, fraction, out=best)
        if name in ("csf", "gm", "wm"):
            probabilities[name] = Volume(fraction, grid, Role.PROBABILITY)
    label[air > best] = 0
    return Volume(label, grid, Role.LABELS), probabilities


def _pose(
    pose: Transform | None,
    rotation: Sequence[float],
    translation: Sequence[float],
    age: float | None,
) -> Transform:
    if pose is not None and (np.any(rotation) or np.any(translation)):
        raise InputError(
            "a pose was given twice", hint="give either pose, or rotation and translation"
        )
    pose = pose or Transform.rigid(rotation, translation)
    if age is None:
        return pose
    scale = (intracranial_volume(age) / TEMPLATE_INTRACRANIAL_ML) ** (1 / 3)
    return pose @ Transform(np.diag([scale, scale, scale, 1.0]))


def _view(pose: Transform) -> Grid:
    """A 1 mm grid along the scanner's axes that takes in the posed head."""
    half = np.linalg.norm(pose.matrix[:3, :3] * np.asarray(_VIEW_HALF_MM), axis=1)
    shape = np.ceil(2 * half).astype(int)
    affine = np.eye(4)
    affine[:3, 3] = pose(_VIEW_CENTER) - (shape - 1) / 2
    a, b, c = (int(n) for n in shape)
    return Grid((a, b, c), affine)


def _as_type(image: Floats, dtype: str) -> npt.NDArray[Any]:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return image.astype(kind, copy=False)
    limits = np.iinfo(kind)
    return np.clip(np.round(image), limits.min, limits.max).astype(kind)


def _check(
    contrast: str, dtype: str, age: float | None, noise: float, bias: float, seed: int
) -> None:
    if contrast not in CONTRASTS:
        raise InputError(
            f"the phantom has no contrast '{contrast}'", hint=nearest(contrast, CONTRASTS)
        )
    if dtype not in WHITE_MATTER:
        raise InputError(
            f"the phantom has no voxels of type '{dtype}'", hint=nearest(dtype, WHITE_MATTER)
        )
    if age is not None and not 0 <= age <= 120:
        raise InputError(f"age is in years, 0 to 120, got {age}")
    for name, value, most in (("noise", noise, 1.0), ("bias", bias, 2.0)):
        if not 0 <= value <= most:
            raise InputError(f"{name} is relative, 0 to {most:g}, got {value}")
    if seed < 0:
        raise InputError(f"a seed is 0 or more, got {seed}")

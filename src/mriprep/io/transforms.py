"""Linear transforms in ITK's files, as ANTs, 3D Slicer and SimpleITK read and write them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np

from mriprep.core import GeometryError, InputError, OutputRefused, Transform
from mriprep.core.grid import FloatArray

from .atomic import atomic_path
from .blocks import explained
from .given import expanded, leads_to
from .header import LPS_TO_RAS
from .itk_files import Entry, mat_bytes, mat_entries, text_bytes, text_entries
from .sniff import extension

#: Extensions that can be written: ITK's text, and MATLAB version 4 binary.
WRITABLE = (".tfm", ".txt", ".mat")

#: A linear transform's file is a few hundred bytes; a displacement field's need not be read in full.
_LONGEST = 1 << 20

# Rigid transforms are written as this too: it holds the matrix as it is, with no angles to lose
# digits in, ANTs writes it itself (0GenericAffine.mat), and 3D Slicer opens it as a linear transform.
_WRITTEN = "AffineTransform_double_3_3"


@dataclass(frozen=True)
class _Linear:
    """``y = matrix (x - centre) + centre + translation``, ITK's form of every linear transform."""

    matrix: FloatArray
    translation: FloatArray

    def about(self, centre: FloatArray) -> FloatArray:
        full = np.eye(4)
        full[:3, :3] = self.matrix
        full[:3, 3] = self.translation + centre - self.matrix @ centre
        return full


def write_transform(transform: Transform, path: str | os.PathLike[str]) -> Path:
    """Write a transform for ITK, ANTs and 3D Slicer, whole or not at all.

    The file maps points of the fixed (reference) image to points of the
    moving image, as ours does, in LPS as ITK has it. The grids and names of
    the transform are not part of it.

    Parameters
    ----------
    transform : Transform
        Reference mm to moving mm, RAS+.
    path : path
        ``.tfm`` or ``.txt`` (ITK text), or ``.mat`` (MATLAB version 4, as ANTs writes).

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    OutputError
        If the extension is another one or writing fails.
    """
    path = expanded(path)
    ending = extension(path, WRITABLE)
    if ending is None:
        raise OutputRefused(
            f"cannot write {path}: transforms are not written as '{path.suffix or path.name}'",
            hint=f"accepted: {', '.join(WRITABLE)}",
        )
    matrix = LPS_TO_RAS @ transform.matrix @ LPS_TO_RAS
    # Minus zero, of the flips, is a plain zero in the file.
    numbers = np.concatenate([matrix[:3, :3].ravel(), matrix[:3, 3]]) + 0.0
    entry = Entry(_WRITTEN, tuple(numbers.tolist()), (0.0, 0.0, 0.0))
    content = mat_bytes(entry) if ending == ".mat" else text_bytes(entry)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path


def read_transform(path: str | os.PathLike[str]) -> Transform:
    """Read a linear transform that ITK, ANTs, 3D Slicer or mriprep wrote.

    Parameters
    ----------
    path : path
        ITK's text (.tfm, .txt) or MATLAB version 4 (.mat), recognised by
        content. A composite of linear transforms is made one.

    Returns
    -------
    Transform
        Reference mm to moving mm, RAS+; without grids, which are not in such
        files. ``meta["source"]`` is the path.

    Raises
    ------
    InputError
        If the file is missing, damaged, not ITK's, or holds a transform that
        is not linear or not three-dimensional.
    """
    path = expanded(path)
    leads_to(path)
    with explained(path), path.open("rb") as file:
        content = file.read(_LONGEST)
    if content.startswith(b"#Insight Transform File"):
        entries = text_entries(path, content)
    elif _is_mat(content):
        entries = mat_entries(path, content)
    else:
        raise _not_a_transform(path, content)
    parts = [entry for entry in entries if not entry.name.startswith("CompositeTransform")]
    if len(entries) > 1 and len(parts) == len(entries):
        raise InputError(
            f"{path} holds {len(entries)} transforms and does not say how they follow each other",
            hint="write them as one composite, or one file each",
        )
    if not parts or any(entry.parameters for entry in entries if entry not in parts):
        raise InputError(
            f"{path} holds a composite without its parts",
            hint="ITK cannot write composites as .mat: write it as .tfm",
        )
    # ITK keeps a composite as a stack: the transform that was added last is applied first.
    lps: FloatArray = reduce(np.matmul, (_matrix(path, entry) for entry in parts))
    try:
        return Transform(LPS_TO_RAS @ lps @ LPS_TO_RAS, meta={"source": str(path)})
    except GeometryError as error:
        raise GeometryError(f"{path}: {error.message}", hint=error.hint) from error


def _matrix(path: Path, entry: Entry) -> FloatArray:
    kind, _, rest = entry.name.partition("_")
    if rest not in ("double_3_3", "float_3_3"):
        raise InputError(f"{path} holds {entry.name}, not a transform of three dimensions")
    if kind not in _KINDS:
        raise InputError(
            f"{path} holds a {kind}, which is not a linear transform that mriprep reads",
            hint=f"accepted: {', '.join(_KINDS)}, and composites of them",
        )
    count, convert = _KINDS[kind]
    parameters, fixed = np.array(entry.parameters), np.array(entry.fixed)
    if parameters.size != count or fixed.size not in (0, 3, 4):
        raise InputError(
            f"{path} is damaged: a {kind} has {count} parameters, got {parameters.size}"
            f" and {fixed.size} fixed ones"
        )
    centre = fixed[:3] if fixed.size else np.zeros(3)
    return convert(parameters, fixed).about(centre)


# -- ITK's kinds of linear transform ------------------------------------------------------------


def _turn(axis: int, angle: float) -> FloatArray:
    matrix = np.eye(3)
    a, b = [k for k in range(3) if k != axis]
    sign = -1 if axis == 1 else 1
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[b, a] = sign * np.sin(angle)
    matrix[a, b] = -matrix[b, a]
    return matrix


def _euler(p: FloatArray, fixed: FloatArray) -> _Linear:
    x, y, z = (_turn(axis, p[axis]) for axis in range(3))
    zyx = fixed.size == 4 and fixed[3] != 0
    return _Linear(z @ y @ x if zyx else z @ x @ y, p[3:])


def _versor(p: FloatArray) -> FloatArray:
    """The rotation of a versor: the vector part of a unit quaternion."""
    x, y, z = p[:3]
    w = np.sqrt(max(0.0, 1 - float(p[:3] @ p[:3])))
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _affine(p: FloatArray, _: FloatArray) -> _Linear:
    return _Linear(p[:9].reshape(3, 3), p[9:])


_KINDS: dict[str, tuple[int, Callable[[FloatArray, FloatArray], _Linear]]] = {
    "AffineTransform": (12, _affine),
    "MatrixOffsetTransformBase": (12, _affine),
    "Euler3DTransform": (6, _euler),
    "VersorRigid3DTransform": (6, lambda p, _: _Linear(_versor(p), p[3:])),
    "VersorTransform": (3, lambda p, _: _Linear(_versor(p), np.zeros(3))),
    "Similarity3DTransform": (7, lambda p, _: _Linear(_versor(p) * p[6], p[3:6])),
    "ScaleTransform": (3, lambda p, _: _Linear(np.diag(p), np.zeros(3))),
    "TranslationTransform": (3, lambda p, _: _Linear(np.eye(3), p)),
    "IdentityTransform": (0, lambda p, _: _Linear(np.eye(3), np.zeros(3))),
}


# -- telling files apart ------------------------------------------------------------------------


def _is_mat(content: bytes) -> bool:
    return re.match(rb"[A-Za-z0-9]+_(double|float)_\d_\d\0", content[20:]) is not None


def _not_a_transform(path: Path, content: bytes) -> InputError:
    hint = (
        "accepted: ITK transforms as .tfm, .txt or .mat; convert others, for instance in 3D Slicer"
    )
    if content.startswith(b"\x89HDF"):
        return InputError(f"{path} is an HDF5 file (perhaps an ITK .h5 transform)", hint=hint)
    if b"(Transform " in content:
        return InputError(f"{path} is an elastix parameter file, not an ITK transform", hint=hint)
    if _is_matrix(content.split()):
        return InputError(
            f"{path} is a bare 4x4 matrix, which does not say between which coordinates",
            hint="of an FSL matrix both images are needed too: convert it with c3d_affine_tool",
        )
    return InputError(f"{path} is {'not an ITK transform' if content else 'empty'}", hint=hint)


def _is_matrix(words: Iterable[bytes]) -> bool:
    found = list(words)
    try:
        return len(found) == 16 and all(np.isfinite(float(word)) for word in found)
    except ValueError:
        return False

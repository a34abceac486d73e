"""Rigid to affine maps as numbers for an optimiser, about a centre, with derivatives."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Model = Literal["rigid", "similarity", "scaled", "affine"]

#: Degrees of freedom: rotation and translation; one scale; a scale along each axis; shears.
FREEDOM = {"rigid": 6, "similarity": 7, "scaled": 9, "affine": 12}

#: A radian, a log scale or a shear of 1 moves a point at this distance by as many mm: one unit
#: of any parameter moves a head's voxels by about a millimetre.
RADIUS_MM = 60.0


def initial(matrix: Doubles, model: Model) -> tuple[Doubles, Doubles]:
    """Split a map's linear part (3, 3) into the rotation to start from and the other parameters.

    Parameters
    ----------
    matrix : (3, 3) floats
        Linear part; a positive determinant.
    model : {"rigid", "similarity", "scaled", "affine"}
        What the model cannot express is dropped.

    Returns
    -------
    rotation : (3, 3) floats
    parameters : (degrees of freedom,) floats
        Rotation and translation 0.
    """
    parameters = np.zeros(FREEDOM[model])
    if model == "rigid":
        return nearest_rotation(matrix), parameters
    # matrix = R U diag(s): QR of the matrix, with U of unit diagonal.
    q, upper = np.linalg.qr(matrix)
    signs = np.sign(np.diag(upper))
    q, upper = q * signs, upper * signs[:, None]
    scales = np.diag(upper)
    if model == "similarity":
        parameters[6] = np.log(scales).mean() * RADIUS_MM
        return nearest_rotation(matrix), parameters
    parameters[6:9] = np.log(scales) * RADIUS_MM
    if model == "scaled":
        return nearest_rotation(matrix / scales), parameters
    shears = upper / scales
    parameters[9:] = np.array([shears[0, 1], shears[0, 2], shears[1, 2]]) * RADIUS_MM
    return q, parameters


def nearest_rotation(matrix: Doubles) -> Doubles:
    """The rotation nearest to a (3, 3) matrix, (3, 3)."""
    u, _, vt = np.linalg.svd(matrix)
    rotation: Doubles = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    return rotation


def linear(parameters: Doubles, start: Doubles) -> tuple[Doubles, Doubles]:
    """The linear parts of maps, and their derivatives by each parameter.

    Parameters
    ----------
    parameters : (K, D) floats
        Rotation vector, translation (mm), log scales, shears; in units of about a mm.
    start : (K, 3, 3) floats
        The rotation that the rotation vector turns further.

    Returns
    -------
    matrices : (K, 3, 3) floats
        ``exp(r) @ start @ shear @ diag(scales)``.
    derivatives : (K, D, 3, 3) floats
        Zero for the translation.
    """
    number, count = parameters.shape
    rotation, by_rotation = _exponential(parameters[:, :3] / RADIUS_MM)
    scales = np.ones((number, 3))
    if count >= 7:
        scales = scales * np.exp(parameters[:, 6 : 7 if count == 7 else 9] / RADIUS_MM)
    shear = np.tile(np.eye(3), (number, 1, 1))
    if count == 12:
        for n, (row, column) in enumerate(_SHEARS):
            shear[:, row, column] = parameters[:, 9 + n] / RADIUS_MM
    stretch = start @ (shear * scales[:, None, :])
    matrix = rotation @ stretch
    derivatives = np.zeros((number, count, 3, 3))
    derivatives[:, :3] = by_rotation @ stretch[:, None] / RADIUS_MM
    if count == 7:
        derivatives[:, 6] = matrix / RADIUS_MM
    elif count > 7:
        for axis in range(3):
            derivatives[:, 6 + axis, :, axis] = matrix[:, :, axis] / RADIUS_MM
    if count == 12:
        turned = rotation @ start
        for n, (row, column) in enumerate(_SHEARS):
            derivatives[:, 9 + n, :, column] = (
                turned[:, :, row] * scales[:, column, None] / RADIUS_MM
            )
    return matrix, derivatives


#: Rows and columns of the shears.
_SHEARS = ((0, 1), (0, 2), (1, 2))


def _exponential(vectors: Doubles) -> tuple[Doubles, Doubles]:
    """Rotations of rotation vectors (K, 3), and their derivatives by each number, (K, 3, 3, 3)."""
    angle = np.sqrt((vectors**2).sum(axis=1))[:, None, None]
    small = angle < 1e-4
    safe = np.where(small, 1.0, angle)
    a = np.where(small, 1 - angle**2 / 6, np.sin(safe) / safe)
    b = np.where(small, 0.5 - angle**2 / 24, (1 - np.cos(safe)) / safe**2)
    c = np.where(small, 1 / 6 - angle**2 / 120, (safe - np.sin(safe)) / safe**3)
    k = _cross(vectors)
    square = k @ k
    rotation = np.eye(3) + a * k + b * square
    jacobian = np.eye(3) + b * k + c * square  # the left Jacobian of the rotation group
    turns = _cross(np.swapaxes(jacobian, 1, 2).reshape(-1, 3)).reshape(-1, 3, 3, 3)
    return rotation, turns @ rotation[:, None]


def _cross(v: Doubles) -> Doubles:
    """Matrices (K, 3, 3) of the cross products with vectors (K, 3)."""
    out = np.zeros((len(v), 3, 3))
    out[:, 2, 1], out[:, 0, 2], out[:, 1, 0] = v.T
    return np.asarray(out - out.transpose(0, 2, 1))


def rotations(count: int) -> Doubles:
    """Rotations spread evenly over all there are, the same ones always, (count, 3, 3).

    Alexa M. Super-Fibonacci spirals: fast, low-discrepancy sampling of SO(3).
    CVPR 2022. doi:10.1109/CVPR52688.2022.00811
    """
    phi, psi = np.sqrt(2), 1.533751168755204288118041
    n = np.arange(count) + 0.5
    t, d = n / count, 2 * np.pi * n
    r, s = np.sqrt(t), np.sqrt(1 - t)
    a, b = d / phi, d / psi
    x, y, z, w = r * np.sin(a), r * np.cos(a), s * np.sin(b), s * np.cos(b)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)

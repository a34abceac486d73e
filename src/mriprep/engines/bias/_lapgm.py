"""The model of LapGM, fitted: its start, its expectation-maximisation, its linear system."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mriprep.kernels.lapgm import contract
from mriprep.kernels.lapgm_model import Mixture

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

#: Cosines on each axis that are solved for directly, as a start for the others.
_DIRECT = 5


class Waves(NamedTuple):
    """The cosines on one axis that a field is made of.

    Parameters
    ----------
    size : int
        Voxels on the axis, all of the coarse grid's.
    spacing : float
        Between them, mm.
    number : int
        Cosines, from the constant up.
    """

    size: int
    spacing: float
    number: int

    def at(self, positions: npt.ArrayLike) -> Floats:
        """Their values at positions in voxels, one column each; orthonormal over the axis."""
        angles = (np.asarray(positions, float)[:, None] + 0.5) * np.arange(self.number)
        columns = np.cos(np.pi / self.size * angles) * np.sqrt(2 / self.size)
        columns[:, 0] = np.sqrt(1 / self.size)
        return np.asarray(columns, np.float32)

    @property
    def roughness(self) -> Doubles:
        """Eigenvalues of the axis' part of the Laplacian with free ends, 1/mm²."""
        return np.asarray(
            (2 - 2 * np.cos(np.pi / self.size * np.arange(self.number))) / self.spacing**2
        )


class Fit(NamedTuple):
    """What was found: the field's cosines, the classes, and iterations and products it took."""

    waves: Doubles
    mixture: Mixture
    iterations: int
    products: int


def number_of_waves(
    size: int, spacing: float, tau: float, precision: float, finest: float, shortest: float
) -> int:
    """Cosines on an axis until the prior outweighs the voxels by `finest`, or they get too short.

    Parameters
    ----------
    size : int
        Voxels on the axis.
    spacing : float
        Between them, mm.
    tau, precision : float
        Inverse weight of the prior, 1/mm², and how strongly classes hold a voxel.
    finest : float
        How much more the prior must say than the voxels for a cosine to be left out.
    shortest : float
        Least wavelength, mm.
    """
    roughness = Waves(size, spacing, size).roughness
    number = int(np.searchsorted(roughness, finest * precision * tau)) + 1
    return min(size, max(4, min(number, int(2 * size * spacing / shortest) + 1)))


def fit(
    voxels: Any,
    axes: list[Waves],
    start: Mixture,
    *,
    tau: float,
    iterations: int,
    tolerance: float,
    floor: Doubles,
) -> Fit:
    """Maximise the posterior of classes and field, one given the other in turn.

    Parameters
    ----------
    voxels : kernels.lapgm.Voxels
        The log intensities.
    axes : three Waves
        Of which the field is made.
    start : Mixture
        The classes to begin with; the field begins flat.
    tau : float
        Inverse weight of the prior, 1/mm².
    iterations : int
        At most so many.
    tolerance : float
        Done when the field changes by less, relative to its norm.
    floor : (M,) doubles
        Least variance of a class, by contrast.
    """
    x, y, z = (a.roughness for a in axes)
    stiffness = (x[:, None, None] + y[:, None] + z) / tau
    waves = np.zeros(stiffness.shape)
    mixture = start
    products = number = 0
    change = np.inf
    for _ in range(iterations):
        number += 1
        mixture = _updated(mixture, voxels.expect(waves, mixture), floor)
        # What is left of a change that is still large need not be solved for to the last digit.
        accuracy = max(0.1 * tolerance, min(1e-2, 0.02 * change))
        weights, target = voxels.hold(mixture)
        new, took = _solved(_System(weights, stiffness, axes), target, waves, accuracy)
        products += took
        # A constant field is the same as other means: the prior cannot tell, so it is none.
        mixture = mixture._replace(means=mixture.means + new[0, 0, 0] * _constant(axes))
        new[0, 0, 0] = 0
        size = np.sqrt(_dot(waves, waves))
        change = np.sqrt(_dot(new - waves, new - waves)) / size if size else np.inf
        waves = new
        if change <= tolerance:
            break
    return Fit(waves, mixture, number, products)


def _dot(a: Doubles, b: Doubles) -> float:
    # BLAS adds in an order that follows from its threads.
    return float((a * b).sum())


def _constant(axes: list[Waves]) -> float:
    """Value of the constant cosine of norm 1."""
    return float(np.prod([a.size for a in axes]) ** -0.5)


def _updated(mixture: Mixture, sums: Doubles, floor: Doubles) -> Mixture:
    classes, contrasts = mixture.means.shape
    weight = np.maximum(sums[:, 0], 1e-6)
    shift = sums[:, 1 : 1 + contrasts] / weight[:, None]
    second = sums[:, 1 + contrasts :].reshape(classes, contrasts, contrasts) / weight[:, None, None]
    covariances = second - shift[:, :, None] * shift[:, None, :]
    covariances = (covariances + covariances.swapaxes(1, 2)) / 2
    return Mixture(
        sums[:, 0] / sums[:, 0].sum(), mixture.means + shift, floored(covariances, floor)
    )


def floored(covariances: Doubles, floor: Doubles) -> Doubles:
    """Covariances with no variance below the floor in any direction."""
    scale = np.sqrt(floor)
    values, vectors = np.linalg.eigh(covariances / scale[:, None] / scale)
    values = np.maximum(values, 1)
    return np.asarray(
        (vectors * values[:, None, :]) @ vectors.swapaxes(1, 2) * scale[:, None] * scale
    )


class _System:
    """Stiffness plus the voxels' weights, as a matrix of the field's cosines.

    Products of two cosines of the field are cosines at most twice as quick:
    no quicker part of the weights plays a role, and a grid of twice as many
    points as there are cosines gives the same sums as the voxels.
    """

    def __init__(self, weights: Doubles, stiffness: Doubles, axes: list[Waves]) -> None:
        points = weights.shape
        small = [Waves(p, a.spacing, a.number) for p, a in zip(points, axes, strict=True)]
        self.bases = [w.at(np.arange(p)) for w, p in zip(small, points, strict=True)]
        self.turned = [np.ascontiguousarray(b.T) for b in self.bases]
        full = [
            Waves(p, a.spacing, p).at(np.arange(p)).T for p, a in zip(points, axes, strict=True)
        ]
        scale = np.sqrt(np.prod([p / a.size for p, a in zip(points, axes, strict=True)]))
        self.weights = contract((weights * scale).astype(np.float32), full)
        self.stiffness = stiffness
        self._start()

    def times(self, waves: Doubles) -> Doubles:
        """The matrix times a vector."""
        field = contract(waves.astype(np.float32), self.turned)
        field *= self.weights
        return np.asarray(self.stiffness * waves + contract(field, self.bases))

    def near(self, rest: Doubles) -> Doubles:
        """Nearly its inverse times a vector: exact for the slowest cosines, diagonal for others."""
        result = rest / self.diagonal
        low = tuple(slice(n) for n in self.few)
        result[low] = np.einsum("ij,j", self.inverse, rest[low].ravel()).reshape(self.few)
        return np.asarray(result)

    def _start(self) -> None:
        self.few = [min(_DIRECT, b.shape[1]) for b in self.bases]
        pairs = [np.tril_indices(n) for n in self.few]
        columns = [b[:, i] * b[:, j] for b, (i, j) in zip(self.bases, pairs, strict=True)]
        products = contract(self.weights, columns).astype(np.float64)
        place = []
        for n, (i, j) in zip(self.few, pairs, strict=True):
            table = np.empty((n, n), int)
            table[i, j] = table[j, i] = np.arange(len(i))
            place.append(table)
        a, b, c = place
        block = products[
            a[:, None, None, :, None, None],
            b[None, :, None, None, :, None],
            c[None, None, :, None, None, :],
        ]
        total = int(np.prod(self.few))
        matrix = block.reshape(total, total)
        matrix[np.diag_indices(total)] += self.stiffness[tuple(slice(n) for n in self.few)].ravel()
        self.inverse = inverted(matrix)
        self.diagonal = self.stiffness + products[0, 0, 0]


def inverted(matrix: Doubles) -> Doubles:
    """Inverse of a positive definite matrix (N, N), by Gauss and Jordan.

    LAPACK shares even small ones among threads, who on a busy machine are waited
    for a thousand times longer than the work takes, and whose number shows in the digits.
    """
    a = matrix.copy()
    for k in range(len(a)):
        pivot, column = a[k, k], a[:, k].copy()
        row = a[k] / pivot
        a -= column[:, None] * row
        a[k] = row
        a[:, k] = -column / pivot
        a[k, k] = 1 / pivot
    return a


def _solved(
    system: _System, target: Doubles, begin: Doubles, accuracy: float
) -> tuple[Doubles, int]:
    """Solve the system by conjugate gradients; and how many products with its matrix that took."""
    x = begin.copy()
    rest = target - system.times(x)
    z = system.near(rest)
    direction = z.copy()
    product = _dot(rest, z)
    goal = accuracy**2 * _dot(target, system.near(target))
    count = 1
    while product > goal and count < 200:
        image = system.times(direction)
        count += 1
        step = product / _dot(direction, image)
        x += step * direction
        rest -= step * image
        z = system.near(rest)
        before, product = product, _dot(rest, z)
        direction = z + (product / before) * direction
    return x, count


# -- where the classes begin ------------------------------------------------------------------


def started(logs: Floats, classes: int, floor: Doubles) -> Mixture:
    """Classes by k-means of the log intensities (M, N), the same every time.

    One contrast is parted into the best classes there are, by dynamic
    programming over a histogram; several by Lloyd's iteration.
    """
    if len(logs) == 1:
        edges = _breaks(logs[0], classes)
        labels = np.searchsorted(edges, logs[0], side="right")
    else:
        labels = _lloyd(logs, classes)
    count = np.bincount(labels, minlength=classes).astype(float)
    keep = count > max(1.0, 1e-4 * labels.size)
    means, covariances = [], []
    for k in np.flatnonzero(keep):
        chosen = logs[:, labels == k].astype(np.float64)
        means.append(chosen.mean(1))
        covariances.append(np.atleast_2d(np.cov(chosen)))
    return Mixture(
        count[keep] / count[keep].sum(), np.array(means), floored(np.array(covariances), floor)
    )


def _breaks(values: Floats, classes: int, bins: int = 512) -> Doubles:
    """Where to part values so that their squared distances from their class' mean are least."""
    counts, edges = np.histogram(values, bins)
    counts = counts.astype(np.float64)
    centres = (edges[:-1] + edges[1:]) / 2
    centres = centres - centres.mean()
    n, s, q = (np.concatenate([[0.0], np.cumsum(counts * centres**p)]) for p in range(3))
    # cost[i, j]: of one class from bin i up to but not with bin j
    number = n[None, :] - n[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        cost = (q[None, :] - q[:, None]) - (s[None, :] - s[:, None]) ** 2 / number
    cost = np.where(number > 0, np.maximum(cost, 0), np.where(number == 0, 0.0, np.inf))
    cost[np.tril_indices(bins + 1, -1)] = np.inf
    best = cost[0]
    cuts = []
    for _ in range(classes - 1):
        total = best[:, None] + cost
        cuts.append(total.argmin(0))
        best = total.min(0)
    end, found = bins, []
    for table in reversed(cuts):
        end = int(table[end])
        found.append(edges[end])
    return np.array(found[::-1])


def _lloyd(
    logs: Floats, classes: int, tries: int = 5, sample: int = 20_000
) -> npt.NDArray[np.intp]:
    stride = max(1, logs.shape[1] // sample)
    points = logs[:, ::stride].T.astype(np.float64)
    rng = np.random.default_rng(0)
    best, least = points[:classes], np.inf
    for _ in range(tries):
        centres = points[rng.integers(len(points), size=1)]
        for _ in range(classes - 1):
            nearest = _squares(points, centres).min(1)
            total = nearest.sum()
            chosen = rng.choice(len(points), p=nearest / total) if total > 0 else 0
            centres = np.concatenate([centres, points[chosen : chosen + 1]])
        for _ in range(100):
            labels = _squares(points, centres).argmin(1)
            new = np.stack(
                [
                    points[labels == k].mean(0) if (labels == k).any() else centres[k]
                    for k in range(classes)
                ]
            )
            moved = np.abs(new - centres).max()
            centres = new
            if moved < 1e-6:
                break
        spread = float(_squares(points, centres).min(1).sum())
        if spread < least:
            best, least = centres, spread
    return np.asarray(_squares(logs.T.astype(np.float64), best).argmin(1))


def _squares(points: Doubles, centres: Doubles) -> Doubles:
    return np.stack([((points - c) ** 2).sum(1) for c in centres], axis=1)

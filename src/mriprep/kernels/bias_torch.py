"""The loops of N4 in torch, for a GPU: the same as :mod:`mriprep.kernels.bias`, on the mask's box.

Histograms are summed in whole numbers, so that the order in which a GPU adds
plays no part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .spline import Basis

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

#: Parts of a voxel that histograms count in.
_UNITS = 2**20


class Voxels:
    """The log intensities in a mask; see :class:`mriprep.kernels.bias.Voxels`."""

    def __init__(
        self,
        values: Floats,
        mask: npt.NDArray[np.bool_],
        weights: Floats | None = None,
        device: str = "cuda",
    ) -> None:
        import torch

        self.torch = torch
        self.device = device
        self.mask = torch.from_numpy(np.ascontiguousarray(mask)).to(device)
        self.values = torch.zeros(mask.shape, dtype=torch.float32, device=device)
        self.values[self.mask] = torch.from_numpy(values).to(device)
        self.weights = self.mask.to(torch.float32)
        if weights is not None:
            self.weights[self.mask] = torch.from_numpy(weights).to(device)
        self.count = int(values.size)

    def range(self) -> tuple[float, float]:
        """Least and greatest value."""
        inside = self.values[self.mask]
        return float(inside.min()), float(inside.max())

    def histogram(self, low: float, scale: float, bins: int) -> Doubles:
        """Counts of ``(value - low) * scale``, each voxel shared by the two nearest bins."""
        torch = self.torch
        x = (self.values[self.mask] - low) * scale
        i = x.to(torch.int64)
        upper = ((x - i) * self.weights[self.mask] * _UNITS).to(torch.int64)
        whole = (self.weights[self.mask] * _UNITS).to(torch.int64)
        counts = torch.zeros(bins + 1, dtype=torch.int64, device=self.device)
        counts.scatter_add_(0, i, whole - upper)
        counts.scatter_add_(0, i + 1, upper)
        return np.asarray(counts[:bins].cpu().numpy() / _UNITS)

    def fit(self, table: Doubles, low: float, scale: float, axes: list[Basis]) -> Doubles:
        """Numerator of the spline fit to ``value - table(value)``, on the lattice."""
        torch = self.torch
        entries = torch.from_numpy(table.astype(np.float32)).to(self.device)
        x = ((self.values - low) * scale).clamp(0, len(table) - 1)
        n = x.to(torch.int64).clamp(max=len(table) - 2)
        likely = entries[n] + (entries[n + 1] - entries[n]) * (x - n)
        cubes = [b.weights**3 / (b.weights**2).sum(1, keepdims=True) for b in axes]
        return self._contract((self.values - likely) * self.weights, axes, cubes)

    def density(self, axes: list[Basis]) -> Doubles:
        """Denominator of the fit: the squares of the weights, summed over the mask."""
        return self._contract(self.weights, axes, [b.weights**2 for b in axes])

    def subtract(self, update: Doubles, axes: list[Basis]) -> tuple[float, float, float]:
        """Take a field off; least and greatest value then, and how the field varies."""
        torch = self.torch
        field = torch.from_numpy(update.astype(np.float32)).to(self.device)
        for axis in axes:
            # The axis worked on goes to the end: after three turns the order is as before.
            field = torch.tensordot(field, self._dense(axis, None), dims=([0], [0]))
        self.values -= field * self.mask
        change = torch.expm1(-field[self.mask]).double()
        mean = float(change.mean())
        deviation = float(change.std(unbiased=self.count > 1))
        low, high = self.range()
        return low, high, deviation / (1 + mean)

    def _contract(self, volume: Any, axes: list[Basis], weights: list[Doubles]) -> Doubles:
        result = volume
        for axis, w in zip(axes, weights, strict=True):
            result = self.torch.tensordot(result, self._dense(axis, w), dims=([0], [1]))
        return np.asarray(result.double().cpu().numpy())

    def _dense(self, axis: Basis, weights: Doubles | None) -> Any:
        return self.torch.from_numpy(axis.dense(weights)).to(self.device)

"""Mutual information and its gradient in torch, for a GPU: the same as :mod:`mriprep.kernels.mutual`.

The joint histogram is a product of two matrices, the samples' bins (one-hot)
and windows, so that no atomic additions make sums differ from run to run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .mutual import BINS, Bins, Doubles, Floats, information

_COLUMNS = BINS + 2
#: Numbers of the window's matrix that are held at once when many maps are looked at.
_AT_ONCE = 2**27


class Samples:
    """Samples of a fixed image and a moving image; see :class:`mriprep.kernels.mutual.Samples`."""

    def __init__(
        self,
        points: Doubles,
        bins: Bins,
        moving: Floats,
        mask: Bins | None = None,
        device: str = "cuda",
    ) -> None:
        import torch

        self.torch = torch
        self.device = device
        self.points = torch.as_tensor(points, dtype=torch.float32, device=device)
        ones = torch.ones(len(points), 1, device=device)
        self.homogeneous = torch.cat([self.points, ones], dim=1)
        rows = torch.as_tensor(bins.astype(np.int64), device=device)
        self.rows = torch.nn.functional.one_hot(rows, BINS).to(torch.float32)
        self.moving = torch.as_tensor(np.ascontiguousarray(moving), device=device)
        self.mask = None if mask is None else torch.as_tensor(mask, device=device)

    def values(self, matrices: npt.ArrayLike, overlap: bool = True) -> Doubles:
        """Mutual information under each of many maps (M, 3, 4), fixed mm to moving index."""
        torch = self.torch
        maps = torch.as_tensor(np.asarray(matrices), dtype=torch.float32, device=self.device)
        count = len(self.points)
        out = []
        for part in maps.split(max(1, _AT_ONCE // (count * _COLUMNS))):
            index = torch.einsum("nc,mrc->mnr", self.homogeneous, part)
            q, weight, _, _ = self._look_up(index)
            joint = torch.einsum("nb,mnc->mbc", self.rows, self._window(q, weight))
            out.append(joint.double().cpu().numpy())
        table = np.empty((BINS, _COLUMNS))
        return np.array([information(j, count, overlap, table) for j in np.concatenate(out)])

    def look(self, matrices: npt.ArrayLike) -> Doubles:
        """As :meth:`values`: a GPU need not look less closely."""
        return self.values(matrices, True)

    def gradients(self, matrices: npt.ArrayLike, overlap: bool = True) -> tuple[Doubles, Doubles]:
        """Mutual information under many maps (M, 3, 4), and its derivative by their numbers."""
        torch = self.torch
        maps = torch.as_tensor(np.asarray(matrices), dtype=torch.float32, device=self.device)
        count = len(self.points)
        values, slopes = [], []
        for part in maps.split(max(1, _AT_ONCE // (count * _COLUMNS))):
            index = torch.einsum("nc,mrc->mnr", self.homogeneous, part)
            q, weight, by_q, by_weight = self._look_up(index)
            joint = torch.einsum("nb,mnc->mbc", self.rows, self._window(q, weight))
            tables = np.empty((len(part), BINS, _COLUMNS))
            values += [
                information(j, count, overlap, table)
                for j, table in zip(joint.double().cpu().numpy(), tables, strict=True)
            ]
            table = torch.as_tensor(tables, dtype=torch.float32, device=self.device)
            rows = torch.einsum("nb,mbc->mnc", self.rows, table)
            near = (q + 0.5).to(torch.int64)
            f = q - near
            t0, t1, t2 = (rows.gather(2, (near + n)[..., None])[..., 0] for n in range(3))
            d_q = weight * (-(0.5 - f) * t0 - 2 * f * t1 + (0.5 + f) * t2)
            d_w = 0.5 * (0.5 - f) ** 2 * t0 + (0.75 - f * f) * t1 + 0.5 * (0.5 + f) ** 2 * t2
            push = d_q[..., None] * by_q + d_w[..., None] * by_weight
            slope = torch.einsum("mnr,nc->mrc", push.double(), self.homogeneous.double())
            slopes.append(slope.cpu().numpy())
        return np.array(values), np.concatenate(slopes)

    def _window(self, q: Any, weight: Any) -> Any:
        """Each sample's quadratic B-spline over the columns, times its weight (..., N, COLUMNS)."""
        torch = self.torch
        columns = torch.arange(_COLUMNS, device=self.device, dtype=torch.float32) - 1
        d = (columns - q[..., None]).abs()
        spline = torch.where(d < 0.5, 0.75 - d * d, 0.5 * (1.5 - d).clamp(min=0) ** 2)
        return spline * weight[..., None]

    def _look_up(self, index: Any) -> tuple[Any, Any, Any, Any]:
        """Value, weight, and their derivatives by the index (..., N, 3)."""
        torch = self.torch
        size = torch.tensor(self.moving.shape, device=self.device, dtype=torch.float32)
        seen = ((index > -1) & (index < size)).all(dim=-1)
        below, above = index < 0, index > size - 1
        ramp = torch.minimum(index + 1, size - index).clamp(0, 1)
        side = below.float() - above.float()
        clamped = torch.minimum(index.clamp(min=0), size - 1)
        low = clamped.to(torch.int64)
        high = torch.minimum(low + 1, size.to(torch.int64) - 1)
        if self.mask is not None:
            near = (clamped + 0.5).to(torch.int64).unbind(-1)
            seen = seen & (self.mask[near] > 0)
        u, v, w = (clamped - low).unbind(-1)
        (a, b, c), (a1, b1, c1) = low.unbind(-1), high.unbind(-1)
        data = self.moving
        d00 = data[a1, b, c] - data[a, b, c]
        d10 = data[a1, b1, c] - data[a, b1, c]
        d01 = data[a1, b, c1] - data[a, b, c1]
        d11 = data[a1, b1, c1] - data[a, b1, c1]
        e00 = data[a, b, c] + d00 * u
        e10 = data[a, b1, c] + d10 * u
        e01 = data[a, b, c1] + d01 * u
        e11 = data[a, b1, c1] + d11 * u
        f0 = e00 + (e10 - e00) * v
        f1 = e01 + (e11 - e01) * v
        g0, g1 = d00 + (d10 - d00) * v, d01 + (d11 - d01) * v
        slopes = [g0 + (g1 - g0) * w, (e10 - e00) * (1 - w) + (e11 - e01) * w, f1 - f0]
        within = (~(below | above)).float()
        wx, wy, wz = ramp.unbind(-1)
        sides = torch.stack([wy * wz, wx * wz, wx * wy], dim=-1) * side
        shown = seen.float()
        return (
            f0 + (f1 - f0) * w,
            wx * wy * wz * shown,
            torch.stack(slopes, dim=-1) * within,
            sides * shown[..., None],
        )

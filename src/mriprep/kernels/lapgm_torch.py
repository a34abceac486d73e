"""The loops of LapGM in torch, for a GPU: the same as :mod:`mriprep.kernels.lapgm`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .lapgm_model import Doubles, Mixture

Floats = npt.NDArray[np.float32]


class Voxels:
    """The log intensities in a mask and the field's cosines there; see :class:`.lapgm.Voxels`."""

    def __init__(
        self,
        logs: Floats,
        inside: npt.NDArray[np.bool_],
        bases: list[Floats],
        finer: list[Floats],
        device: str = "cuda",
    ) -> None:
        import torch

        self.torch = torch
        self.device = device
        self.logs = self._there(logs)
        self.bases = [self._there(b) for b in bases]
        self.finer = [self._there(b) for b in finer]
        self.where = self._there(np.flatnonzero(inside))
        self.volume = torch.zeros(inside.shape, dtype=torch.float32, device=device)
        self.w = self.logs[:0]

    def expect(self, waves: Doubles, mixture: Mixture) -> Doubles:
        """Posteriors of the classes given the field (kept), and their sums and moments."""
        torch = self.torch
        turned = [b.T for b in self.bases]
        field = self._contract(self._there(waves.astype(np.float32)), turned)
        rest = (self.logs - field.reshape(-1)[self.where])[None] - self._small(mixture.means)[
            ..., None
        ]
        precisions = self._small(mixture.precisions())
        distance = (rest * torch.einsum("kij,kjn->kin", precisions, rest)).sum(1)
        self.w = torch.softmax(self._small(mixture.heights())[:, None] - distance / 2, dim=0)
        moments = (self.w[:, None] * rest).double()
        classes = len(self.w)
        sums = torch.cat(
            [
                self.w.double().sum(1, keepdim=True),
                moments.sum(2),
                torch.einsum("kin,kjn->kij", moments, rest.double()).reshape(classes, -1),
            ],
            dim=1,
        )
        return np.asarray(sums.cpu().numpy())

    def hold(self, mixture: Mixture) -> tuple[Doubles, Doubles]:
        """How strongly the classes hold the field at the voxels, and where they pull it."""
        rows = self._small(mixture.precisions().sum(1))
        weights = self.torch.einsum("kn,ki->in", self.w, rows)
        pulls = weights * self.logs - self.torch.einsum(
            "kn,ki->in", self.w, rows * self._small(mixture.means)
        )
        return self._waves(weights.sum(0), self.finer), self._waves(pulls.sum(0), self.bases)

    def _waves(self, values: Any, bases: list[Any]) -> Doubles:
        self.volume.reshape(-1)[self.where] = values
        return np.asarray(self._contract(self.volume, bases).double().cpu().numpy())

    def _contract(self, volume: Any, matrices: list[Any]) -> Any:
        for matrix in matrices:
            volume = self.torch.tensordot(volume, matrix, dims=([0], [0]))
        return volume

    def _small(self, values: Doubles) -> Any:
        return self._there(values.astype(np.float32))

    def _there(self, values: Any) -> Any:
        return self.torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

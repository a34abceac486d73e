"""The classes of LapGM's mixture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


class Mixture(NamedTuple):
    """K Gaussian classes of log intensities in M contrasts.

    Parameters
    ----------
    shares : (K,) doubles
        Fraction of the voxels in each class, sum 1.
    means : (K, M) doubles
        Mean log intensities.
    covariances : (K, M, M) doubles
        Symmetric, positive definite.
    """

    shares: Doubles
    means: Doubles
    covariances: Doubles

    def precisions(self) -> Doubles:
        """Inverses of the covariances, (K, M, M)."""
        return np.asarray(np.linalg.inv(self.covariances))

    def heights(self) -> Doubles:
        """Logarithm of each class's density at its mean, less a constant that all share, (K,)."""
        _, volumes = np.linalg.slogdet(self.covariances)
        return np.asarray(np.log(np.maximum(self.shares, 1e-300)) - volumes / 2)

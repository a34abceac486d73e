"""What is known of tissues' intensities: three Gaussians and what lies between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .tissues import BINS, STATES, Doubles, Floats

#: CSF, GM and WM (0, 1, 2) from dark to bright where white matter is darker than grey, and fluid dark.
FLAIR_ORDER = (0, 2, 1)
#: Where the tissues lie in a brain's histogram, from dark to bright: quantiles to begin with.
_START = {(0, 1, 2): (0.08, 0.40, 0.80), (2, 1, 0): (0.20, 0.60, 0.95)}

#: Which two tissues (0 CSF, 1 GM, 2 WM) each state holds; one, where they are the same.
PAIRS = ((0, 0), (0, 1), (1, 1), (1, 2), (2, 2))
#: States that hold one tissue.
PURE = (0, 2, 4)
#: GM and WM vary alike: noise is the scanner's. Beyond this ratio, deviations are drawn together.
_ALIKE = 1.25
#: Likelihood of what is like no tissue (vessels, lesions), relative to an even spread.
_FLOOR = 1e-4
#: Shares of the states in a brain, about.
USUAL = (0.08, 0.15, 0.35, 0.15, 0.27)
#: CSF varies more than GM and WM, at most by this factor: else it takes in what is half GM.
_WIDEST = 2.0
#: Of GM and WM, one is brighter than the other by this factor at least.
LEAST_RATIO = 1.12


@dataclass(frozen=True)
class Model:
    """Intensities of the tissues, and how much there is of each state.

    Parameters
    ----------
    means, deviations : (3,) floats
        Of CSF, GM and WM.
    shares : (5,) floats
        Of each state; sum 1.
    usual : float
        How much of the shares is what brains usually have, not what is seen.
    bright : int
        The brighter of GM (1) and WM (2); brighter by :data:`LEAST_RATIO` at least.
    fluid_dark : bool
        Whether that is measured from CSF, as in FLAIR, where only the distance
        from fluid has a scale; else from 0.
    """

    means: Doubles
    deviations: Doubles
    shares: Doubles
    usual: float = 0.3
    bright: int = 2
    fluid_dark: bool = False

    def densities(self, values: Doubles) -> Doubles:
        """Likelihood of intensities (N,) in each state, (N, STATES)."""
        from scipy.special import ndtr

        scaled = (values[:, None] - self.means) / self.deviations
        below = ndtr(scaled)
        out = np.empty((values.size, STATES))
        for s, (a, b) in enumerate(PAIRS):
            if a == b:
                bell = np.exp(-0.5 * scaled[:, a] ** 2)
                out[:, s] = bell / (np.sqrt(2 * np.pi) * self.deviations[a])
                continue
            # All fractions of the two are as likely; noise as of the one nearer by.
            low, high = (a, b) if self.means[a] < self.means[b] else (b, a)
            width = max(self.means[high] - self.means[low], 1e-12)
            out[:, s] = (below[:, low] - below[:, high]).clip(0) / width
        return out

    def table(self, values: Doubles) -> Floats:
        """Log of likelihood times share of intensities (N,) in each state, (N, STATES)."""
        density = self.densities(values) * self.shares
        spread = float(np.ptp(values))
        # Beyond the outermost tissues, the outermost tissue.
        order = np.argsort(self.means)
        floor = np.full((values.size, STATES), _FLOOR / spread)
        ends = (
            (order[0], values < self.means[order[0]]),
            (order[2], values > self.means[order[2]]),
        )
        for tissue, beyond in ends:
            floor[beyond] *= 0.01
            floor[np.ix_(beyond, [PURE[tissue]])] = _FLOOR / spread
        logs: Floats = np.log(density + floor).astype(np.float32)
        return logs

    def fractions(self, values: Doubles) -> Floats:
        """What a voxel of each intensity holds in each state, (BINS, STATES, 3)."""
        out = np.zeros((values.size, STATES, 3), np.float32)
        for s, (a, b) in enumerate(PAIRS):
            if a == b:
                out[:, s, a] = 1
                continue
            gap = self.means[b] - self.means[a]
            share = np.clip((values - self.means[a]) / (gap or 1e-12), 0, 1)
            out[:, s, a], out[:, s, b] = 1 - share, share
        return out

    @property
    def contrast_to_noise(self) -> float:
        """How far GM and WM lie apart, in their deviations."""
        return float(abs(self.means[2] - self.means[1]) / self.deviations[1:].mean())

    def refitted(self, values: Doubles, counts: Doubles, rate: float = 1.0) -> Model:
        """The model that fits histograms by state, (BINS, STATES), moved there by `rate`."""
        means, deviations = self.means.copy(), self.deviations.copy()
        for tissue, s in enumerate(PURE):
            weight = counts[:, s]
            total = weight.sum()
            if total < 10:
                continue
            mean = float(weight @ values / total)
            spread = float(np.sqrt(weight @ (values - mean) ** 2 / total))
            means[tissue] += rate * (mean - means[tissue])
            deviations[tissue] += rate * (spread - deviations[tissue])
        shares = counts.sum(axis=0) / max(counts.sum(), 1e-12)
        shares = (1 - self.usual) * shares + self.usual * np.asarray(USUAL)
        dark = 3 - self.bright
        origin = means[0] if self.fluid_dark else 0.0
        much, little = means[self.bright] - origin, means[dark] - origin
        if much < LEAST_RATIO * little:  # one peak taken for two: kept apart about its middle
            little = (much + little) / (1 + LEAST_RATIO)
            means[self.bright], means[dark] = origin + LEAST_RATIO * little, origin + little
        return replace(
            self, means=means, deviations=deviations, shares=shares / shares.sum()
        ).tied()

    def tied(self) -> Model:
        """Deviations of GM and WM within a ratio of each other, and none nothing."""
        deviations = np.maximum(self.deviations, 1e-3 * np.ptp(self.means) + 1e-12)
        gm, wm = deviations[1], deviations[2]
        if max(gm, wm) > _ALIKE * min(gm, wm):
            middle = np.sqrt(gm * wm)
            side = np.sqrt(_ALIKE)
            deviations[1] = np.clip(gm, middle / side, middle * side)
            deviations[2] = np.clip(wm, middle / side, middle * side)
        deviations[0] = min(deviations[0], _WIDEST * max(deviations[1:]))
        return replace(self, deviations=deviations)


def first_guess(values: Doubles, counts: Doubles, order: tuple[int, int, int]) -> Model:
    """A model from a histogram alone, (BINS,): k-means of three, then mixtures by EM.

    `order` names the tissues from dark to bright.
    """
    if order == FLAIR_ORDER:
        return _flair(values, counts)
    share = np.cumsum(counts) / counts.sum()
    centres = np.interp(_START[order], share, values)
    centres = kmeans(values, counts, centres)
    means = np.empty(3)
    means[list(order)] = centres
    gap = np.diff(np.sort(centres)).min()
    bright = 2 if order.index(2) > order.index(1) else 1
    deviations = np.full(3, max(gap / 4, 1e-6))
    model = Model(means, deviations, np.full(STATES, 1 / STATES), bright=bright).tied()
    return fitted(model, values, counts)


def fitted(model: Model, values: Doubles, counts: Doubles, rounds: int = 40) -> Model:
    """A model fitted to a histogram (BINS,) by EM."""
    spread = float(np.ptp(values))
    for _ in range(rounds):
        posterior = model.densities(values) * model.shares + 1e-9 / spread
        posterior *= (counts / posterior.sum(axis=1))[:, None]
        model = model.refitted(values, posterior, 0.7)
    return model


def kmeans(values: Doubles, counts: Doubles, centres: Doubles) -> Doubles:
    """Centres of the clusters of a histogram, from some to begin with; a sum of squares is least."""
    for _ in range(50):
        near = np.abs(values[:, None] - centres).argmin(axis=1)
        new = np.array([
            np.average(values[near == c], weights=counts[near == c])
            if counts[near == c].sum() > 0 else centres[c]
            for c in range(len(centres))
        ])  # fmt: skip
        if np.allclose(new, centres, rtol=0, atol=1e-4 * np.ptp(values)):
            break
        centres = new
    return centres


def _flair(values: Doubles, counts: Doubles) -> Model:
    """Fluid is dark; grey and white matter are one peak or two, white the darker: what fits best of many."""
    from scipy import ndimage

    share = np.cumsum(counts) / counts.sum()
    dark, bright = kmeans(values, counts, np.interp((0.05, 0.6), share, values))
    smooth = ndimage.gaussian_filter1d(counts, BINS / 100)
    smooth[values < (dark + bright) / 2] = 0
    peak = float(values[smooth.argmax()])
    gap = peak - dark
    best, most = None, -np.inf
    # Whether the peak is grey matter, white, or both, only the whole shape tells.
    for white in np.arange(0.80, 1.01, 0.04):
        for ratio in (LEAST_RATIO, 1.18, 1.25):
            for spread in (0.03, 0.05, 0.08, 0.12):
                means = dark + gap * np.array([0, ratio * white, white])
                deviations = gap * np.array([0.12, spread, spread])
                model = Model(means, deviations, np.array(USUAL), 0.5, 1, True)
                likelihood = (model.densities(values) * model.shares).sum(axis=1)
                score = float(counts @ np.log(likelihood + 1e-6 / np.ptp(values)))
                if score > most:
                    best, most = model, score
    assert best is not None
    return best


def edges(low: float, high: float) -> Doubles:
    """The middles of the bins."""
    middles: Doubles = low + (np.arange(BINS) + 0.5) * (high - low) / BINS
    return middles


def pull(beta: float, apart_from_csf: float = 0.0) -> Floats:
    """How much states like each other as neighbours, (STATES, STATES): by what they hold.

    `apart_from_csf`: how little CSF and WM do, beyond that.
    """
    held = np.zeros((STATES, 3))
    for s, (a, b) in enumerate(PAIRS):
        held[s, a] += 0.5
        held[s, b] += 0.5
    apart = np.abs(held[:, None] - held[None]).sum(axis=2) / 2
    meets = np.outer(held[:, 0], held[:, 2])
    likes = beta * (1 - apart) - apart_from_csf * (meets + meets.T)
    return np.asarray(likes, np.float32)

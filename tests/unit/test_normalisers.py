"""Normalisers of single images: what they are defined as, on samples and heads whose truth is known."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest
from normaliser_samples import COHORT, labels, tissues, volume, whole

import mriprep as mp
from mriprep.core import GeometryError, InputError, MriprepWarning, RecipeError, Volume
from mriprep.phantom import TISSUES, head
from mriprep.steps import _density as density

#: Linear normalisers, and the shift of intensities that leaves them as they are (0: none does).
SCALED = {"fcm": 0.0, "kde": 0.0}
SCORED = ("zscore", "robust_zscore", "whitestripe")


@functools.cache
def scan(contrast="T1w", seed=1, bias=0.0, noise=0.02):
    return head(contrast, spacing=4, seed=seed, bias=bias, noise=noise, dtype="float64")


def white(phantom) -> np.ndarray:
    """Voxels that hold more white matter than anything else."""
    return phantom.brain.data & (phantom.tissues.data == TISSUES["wm"])


# -- definitions ------------------------------------------------------------------------------


def test_robust_scores_are_medians():
    data = COHORT[0]
    result = mp.robust_zscore(volume(data), whole(data)).data
    middle = np.median(data)
    expected = (data - middle) / (1.482602218505602 * np.median(np.abs(data - middle)))
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_robust_scores_are_standard_scores_of_normal_intensities():
    data = tissues(((500.0, 30.0, 40000),))
    robust, plain = (f(volume(data), within="whole").data for f in (mp.robust_zscore, mp.zscore))
    np.testing.assert_allclose(robust, plain, atol=2e-3)


def test_robust_scores_do_not_follow_extremes():
    data = COHORT[0].copy()
    before = mp.robust_zscore(volume(data), whole(data)).data
    plain = mp.zscore(volume(data), whole(data)).data
    data[-1, -20:] = 1e6
    after = mp.robust_zscore(volume(data), whole(data)).data
    moved = np.abs(after - before)[:-1].max()
    assert moved < 0.05
    assert np.abs(mp.zscore(volume(data), whole(data)).data - plain)[:-1].max() > 10 * moved


def test_robust_scores_where_most_voxels_are_alike():
    data = np.zeros((10, 10, 10))
    data[:2] = 1
    with pytest.warns(MriprepWarning, match=r"robust_zscore.*the mean one is taken"):
        result = mp.robust_zscore(volume(data), within="whole").data
    assert result[0, 0, 0] == pytest.approx(1 / (1.2533141 * 0.2), rel=1e-6)


def test_a_window_is_one_line_for_all_images():
    data = np.linspace(-10, 10, 27).reshape(3, 3, 3)
    result = mp.window(volume(data), limits=(-3, 5), to=(0, 255)).data
    np.testing.assert_allclose(result, np.interp(data, (-3, 5), (0, 255)), rtol=1e-5, atol=1e-4)
    # What lies beyond the limits goes to the ends exactly, even where float32 has no such limit.
    tenths = mp.window(volume(data), limits=(0.1, 0.7)).data
    assert (tenths[data < 0.1] == 0).all()
    assert (tenths[data > 0.7] == 1).all()
    open_ended = mp.window(volume(data), limits=(-3, 5), to=(0, 255), clip=False).data
    np.testing.assert_allclose(open_ended, (data + 3) / 8 * 255, rtol=1e-5, atol=1e-4)
    with pytest.raises(InputError, match=r"no intensity lies within.*-10 to 10"):
        mp.window(volume(data), limits=(20, 30))


@pytest.mark.parametrize("gain", [0.01, 1, 40])
def test_modes_and_means_are_the_tissues_own(gain):
    data = tissues(gain=gain)
    for step, at in (("fcm", 893.9), ("kde", 900.0)):
        result = getattr(mp, step)(volume(data), whole(data), to=2.0).data
        unit = 2 * data.ravel()[-1] / result.ravel()[-1]
        assert unit / gain == pytest.approx(at, rel=1e-3)


@pytest.mark.parametrize("smooth", [density.by_kernel, density.by_spline])
@pytest.mark.parametrize(("which", "at"), [("first", 300), ("largest", 900), ("last", 900)])
def test_the_modes_of_a_known_histogram(smooth, which, at):
    found = density.mode(*smooth(tissues().ravel()), which, "test")
    assert found == pytest.approx(at, abs=3)


@pytest.mark.parametrize("smooth", [density.by_kernel, density.by_spline])
def test_modes_of_whole_numbers_fall_between_no_gaps(smooth):
    data = np.round(tissues(gain=0.1))  # as uint8 has them, some 100 intensities
    assert density.mode(*smooth(data.ravel()), "last", "test") == pytest.approx(90, abs=1)


def test_a_spline_is_smooth_where_there_is_only_noise():
    """The penalty is chosen by the data: a histogram of few voxels is smoothed more."""
    rng = np.random.default_rng(0)
    _, smooth = density.by_spline(rng.normal(100, 10, 2000))
    peaks = np.sum((np.diff(np.sign(np.diff(smooth))) < 0) & (smooth[1:-1] > 0.2 * smooth.max()))
    assert peaks == 1


def test_the_white_stripe_is_the_papers():
    """Mean and deviation of the voxels within 5 % of the mode's quantile (Shinohara 2014)."""
    data = tissues()
    result = mp.whitestripe(volume(data), whole(data)).data.ravel().astype(np.float64)
    at = np.mean(data < 900)
    low, high = np.quantile(data, (at - 0.05, at + 0.05))
    stripe = data[(data > low) & (data < high)]
    unit = np.ptp(data) / np.ptp(result)
    assert unit == pytest.approx(stripe.std(), rel=2e-3)
    assert data.ravel()[-1] - unit * result[-1] == pytest.approx(stripe.mean(), abs=0.5)
    wide = mp.whitestripe(volume(data), whole(data), width=0.2).data
    assert np.ptp(wide) < np.ptp(result) / 3


def test_tissues_that_are_given_are_taken():
    data = COHORT[1]
    known = Volume(labels(), whole(data).grid, "labels")
    for number, name in enumerate(("csf", "gm", "wm"), 1):
        result = mp.fcm(volume(data, None), whole(data), known, tissue=name).data
        assert result[known.data == number].mean() == pytest.approx(1, rel=1e-5)
    with pytest.raises(InputError, match="other labels than 0 to 3, for instance 5"):
        mp.fcm(volume(data), whole(data), known.replace(known.data + 4))
    with pytest.raises(InputError, match="no voxel of the region is labelled 3, wm"):
        mp.fcm(volume(data), whole(data), known.replace(np.minimum(known.data, 2)))
    with pytest.raises(GeometryError):
        mp.fcm(volume(data), whole(data), Volume(labels(), np.eye(4), "labels"))


def test_least_squares_to_given_means():
    data = tissues(gain=0.3)
    known = Volume(labels(), whole(data).grid, "labels")
    result = mp.least_squares(volume(data), whole(data), known, means=(1, 2, 3)).data
    own, standard = np.array([90.0, 180.0, 270.0]), np.array([1.0, 2.0, 3.0])
    factor = own @ standard / (own @ own)
    np.testing.assert_allclose(result, data * factor, rtol=1e-4)
    for wrong in ({}, {"means": (1, 2, 3), "state": "x.json"}):
        with pytest.raises(RecipeError, match="give one standard, state or means"):
            mp.least_squares(volume(data), **wrong)
    with pytest.raises(InputError, match="means must be above 0"):
        mp.least_squares(volume(data), means=(0, 2, 3))


# -- the digital head -------------------------------------------------------------------------


@pytest.mark.parametrize("contrast", ["T1w", "T2w", "PDw", "FLAIR"])
def test_white_matter_by_its_contrast(contrast):
    truth = scan(contrast)
    result = mp.fcm(truth.image, truth.brain).data
    assert result[white(truth)].mean() == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize(
    ("step", "how"),
    [
        ("fcm", {}),
        ("kde", {}),
        ("whitestripe", {}),
        ("least_squares", {"means": (0.36, 0.71, 1.0)}),
    ],
)
def test_white_matter_is_alike_whatever_the_scanner(step, how):
    """Gain, noise and bias differ; white matter, in units of its distance from grey, does not."""
    means = []
    for seed, gain, bias, noise in ((1, 1, 0, 0.02), (2, 0.2, 0.1, 0.03), (3, 7, 0.05, 0.01)):
        truth = scan("T1w", seed, bias, noise)
        image = truth.image.replace(truth.image.data * gain)
        result = getattr(mp, step)(image, truth.brain, **how).data
        grey = truth.brain.data & (truth.tissues.data == TISSUES["gm"])
        means.append((result[white(truth)].mean(), result[grey].mean()))
    of_white, of_grey = np.transpose(means)
    assert np.ptp(of_white) < 0.2 * np.mean(of_white - of_grey)


@pytest.mark.parametrize("peak", ["first", "largest", "last"])
def test_another_peak_can_be_asked_for(peak):
    truth = scan("T2w")
    sample = truth.image.data[truth.brain.data]
    at = density.mode(*density.by_kernel(sample), peak, "test")
    result = mp.kde(truth.image, truth.brain, peak=peak).data
    np.testing.assert_allclose(result, truth.image.data / at, rtol=1e-5)
    mp.whitestripe(truth.image, truth.brain, peak=peak)


@pytest.mark.parametrize("step", ["kde", "whitestripe"])
def test_a_peak_that_is_not_white_matters_is_told(step):
    merged = tissues(((300.0, 60.0, 6000), (600.0, 50.0, 30000), (690.0, 40.0, 4000)))
    with pytest.warns(MriprepWarning, match=rf"{step}: the peak.* is nearer to grey matter"):
        getattr(mp, step)(volume(merged), whole(merged))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(mp, step)(volume(merged), whole(merged), peak="last")


# -- invariances ------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [*SCALED, *SCORED, "clahe", "equalize", "rescale"])
@pytest.mark.parametrize("gain", [1e-3, 3.7, 1e4])
def test_the_scanners_gain_makes_no_difference(step, gain):
    truth = scan()
    before = getattr(mp, step)(truth.image, truth.brain).data
    after = getattr(mp, step)(truth.image.replace(truth.image.data * gain), truth.brain).data
    np.testing.assert_allclose(after, before, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("step", [*SCORED, "clahe", "equalize", "rescale"])
def test_a_shift_makes_no_difference_to_scores(step):
    truth = scan()
    before = getattr(mp, step)(truth.image, truth.brain).data
    after = getattr(mp, step)(truth.image.replace(truth.image.data - 700), truth.brain).data
    np.testing.assert_allclose(after, before, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("step", [*SCALED, *SCORED, "clahe"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, ">i2", np.float32])
def test_types_of_voxels(step, dtype):
    truth = scan()
    data = np.clip(np.round(truth.image.data / 6), 0, 255)
    before = getattr(mp, step)(truth.image.replace(data), truth.brain).data
    after = getattr(mp, step)(truth.image.replace(data.astype(dtype)), truth.brain).data
    assert after.dtype == np.float32
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("step", [*SCALED, *SCORED])
def test_what_is_not_in_the_region_does_not_count(step):
    truth = scan()
    before = getattr(mp, step)(truth.image, truth.brain).data
    data = np.where(truth.brain.data, truth.image.data, 1e5)
    after = getattr(mp, step)(truth.image.replace(data), truth.brain).data
    inside = truth.brain.data
    assert np.array_equal(after[inside], before[inside])


def test_negative_intensities_are_refused_where_they_cannot_be_divided_by():
    truth = scan()
    scores = mp.zscore(truth.image.replace(truth.image.data - 5000), truth.brain)
    mp.whitestripe(scores, truth.brain)
    below = truth.image.replace(truth.image.data - 5000)
    for step in (mp.fcm, mp.kde):
        with pytest.raises(InputError, match=r"divided by what is above 0(.|\n)*before zscore"):
            step(below, truth.brain)


@pytest.mark.parametrize("step", [*SCALED, "whitestripe"])
def test_the_contrast_must_be_known(step):
    truth = scan()
    blank = Volume(truth.image.data, truth.grid)
    with pytest.raises(InputError, match=r"depends on the contrast, and it is not known(.|\n)*T1w"):
        getattr(mp, step)(blank, truth.brain)
    odd = blank.replace(contrast="SWI")
    with pytest.raises(InputError, match="it is 'SWI'"):
        getattr(mp, step)(odd, truth.brain)
    told = getattr(mp, step)(blank, truth.brain, contrast="T1w").data
    assert np.array_equal(told, getattr(mp, step)(truth.image, truth.brain).data)


@pytest.mark.parametrize("step", [*SCALED, *SCORED, "clahe"])
def test_constant_and_tiny_regions(step):
    truth = scan()
    inside = np.zeros(truth.grid.shape, bool)
    inside[tuple(np.argwhere(truth.brain.data)[0])] = True
    with pytest.raises(InputError, match=f"{step}: the region is constant"):
        getattr(mp, step)(truth.image, truth.brain.replace(inside))
    with pytest.raises(InputError, match=f"{step}: the region is constant"):
        getattr(mp, step)(truth.image.replace(np.full(truth.grid.shape, 7)), truth.brain)


# -- local contrast ---------------------------------------------------------------------------


def test_one_tile_without_a_limit_is_plain_equalisation():
    truth = scan()
    local = mp.clahe(truth.image, truth.brain, tile=1000, clip=1.0, bins=4096).data
    plain = mp.equalize(truth.image, truth.brain, bins=4096).data
    inside = truth.brain.data
    assert np.abs(local - plain)[inside].max() < 0.005
    assert (local[~inside] == 0).all()


def test_no_contrast_is_gained_at_the_least_limit():
    """Clipped to one over the bins, every histogram is flat, and its map a straight line."""
    truth = scan()
    result = mp.clahe(truth.image, truth.brain, clip=1e-9).data
    inside = truth.brain.data
    low, high = np.percentile(truth.image.data[inside], (0.1, 99.9))
    line = np.clip((truth.image.data[inside] - low) / (high - low), 0, 1)
    np.testing.assert_allclose(result[inside], line, atol=1 / 256 + 1e-5)


def test_local_contrast_follows_scikit_image():
    """Another choice of tiles and edges, the same method: the same picture."""
    exposure = pytest.importorskip("skimage.exposure")
    rng = np.random.default_rng(0)
    x, y, z = np.indices((32, 32, 32)) / 32
    data = 0.3 * x + 0.2 * np.sin(9 * y) * np.cos(7 * z) + rng.normal(0, 0.05, x.shape)
    data = (data - data.min()) / np.ptp(data)
    theirs = exposure.equalize_adapthist(data, kernel_size=8, clip_limit=0.02, nbins=256)
    ours = mp.clahe(Volume(data, np.eye(4)), within="whole", tile=8, clip=0.02, bins=256).data
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.98


def test_local_contrast_rises_more_with_the_limit():
    truth = scan()
    inside = white(truth)
    spread = [
        mp.clahe(truth.image, truth.brain, clip=c).data[inside].std() for c in (0.005, 0.01, 0.05)
    ]
    assert spread[0] < spread[1] < spread[2]


def test_a_tile_is_a_size_in_mm():
    fine = scan().image
    coarse = mp.resample(fine, spacing=(4, 4, 8))
    maps = [mp.clahe(v, within="whole", tile=30) for v in (fine, coarse)]
    there = mp.resample(maps[0], spacing=(4, 4, 8)).data
    assert np.corrcoef(there.ravel(), maps[1].data.ravel())[0, 1] > 0.95


def test_nothing_is_warned_of_without_need():
    truth = scan()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in (*SCALED, *SCORED, "clahe"):
            getattr(mp, step)(truth.image, truth.brain)

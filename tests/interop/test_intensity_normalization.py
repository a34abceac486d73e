"""The intensity-normalization package: the same where it is right, and where it is not, that shown.

Release 3.0.1 runs here. Release 2.2.4 needs older libraries than mriprep: its
numbers were taken once, on the same samples (NumPy 1.26, SciPy 1.17,
scikit-fuzzy 0.5, statsmodels 0.15).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from normaliser_samples import COHORT, T1W, tissues, volume, whole

import mriprep as mp

IMAGES = [volume(data) for data in COHORT]
MASKS = [whole(data) for data in COHORT]

#: What release 2.2.4 found in the three samples.
OLD_FCM = (893.8781978064626, 357.6578124204236, 2233.303294048464)
OLD_KDE = (901.9306320815261, 360.2248504201496, 2247.7399660305873)
OLD_STRIPE = (
    (901.9515806163193, 5.8328771859652315),
    (360.22700695370713, 2.330555015202595),
    (2247.7196698042508, 14.568340403234508),
)
OLD_SCALE = (
    1.0, 16.089517586237687, 44.776489099616974, 50.55036355345237, 55.40701523413554,
    72.29793047136967, 84.92176289399889, 87.98579626070999, 90.62488812694839, 93.68879342269622,
    100.0,
)  # fmt: skip
#: Voxels 0, 5000, 6000, 19000, 20000 and 39999 of the second sample on that scale.
OLD_NYUL = (
    -16.69123350100027, 21.833577966894346, 18.866357158760238, 60.989189208708886,
    68.99453889337644, 110.42958399096192,
)  # fmt: skip
#: The standard that it took from the first sample, and what it then divided each by.
OLD_MEANS = (1.0, 1.87214935, 2.7768539)
OLD_FACTORS = (321.9028277013803, 131.19290201396956, 813.1989578768549)
VOXELS = (0, 5000, 6000, 19000, 20000, 39999)
#: The modes that are there: white matter's mean.
TRUE_MODES = (900.0, 360.0, 2250.0)


def unit(image, result):
    """What a linear normaliser divided by."""
    return float(np.ptp(image.data) / np.ptp(result.data.astype(np.float64)))


def zero(image, result):
    """The intensity that became 0."""
    return float(image.data.max() - unit(image, result) * result.data.max())


@pytest.fixture
def package():
    return pytest.importorskip("intensity_normalization", reason="needs intensity-normalization")


def theirs(name, *, population=False):
    import importlib

    where = "population" if population else "individual"
    module = importlib.import_module(
        f"intensity_normalization.normalizers.{where}.{name.removesuffix('Normalizer').lower()}"
    )
    return getattr(module, name)


def adapted(data):
    from intensity_normalization.adapters.images import NumpyImageAdapter

    return NumpyImageAdapter(data)


# -- where they are right ---------------------------------------------------------------------


@pytest.mark.parametrize("number", range(3))
def test_release_2(number):
    image, mask = IMAGES[number], MASKS[number]
    assert unit(image, mp.fcm(image, mask)) == pytest.approx(OLD_FCM[number], rel=1e-4)
    # Their density is known at 80 intensities: they are off by up to one part in eighty.
    assert unit(image, mp.kde(image, mask)) == pytest.approx(OLD_KDE[number], rel=5e-3)
    stripe = mp.whitestripe(image, mask)
    mean, deviation = OLD_STRIPE[number]
    assert zero(image, stripe) == pytest.approx(mean, rel=5e-3)
    assert unit(image, stripe) == pytest.approx(deviation, rel=5e-3)


def test_nyul_of_release_2():
    state = mp.fit("nyul", IMAGES, MASKS, to=(1, 100))
    np.testing.assert_allclose(state.values["standard"], OLD_SCALE, rtol=1e-6)
    result = mp.nyul(IMAGES[1], MASKS[1], state=state).data.ravel()
    np.testing.assert_allclose(result[list(VOXELS)], OLD_NYUL, rtol=1e-5)


@pytest.mark.parametrize("number", range(3))
def test_release_3(package, number):
    image, mask = IMAGES[number], MASKS[number]
    given, where = adapted(image.data), adapted(mask.data)
    for name, step, tolerance in (
        ("ZScoreNormalizer", mp.zscore, 1e-4),
        ("FCMNormalizer", mp.fcm, 1e-3),
    ):
        np.random.seed(0)  # noqa: NPY002 - scikit-fuzzy starts where NumPy's old generator says
        expected = theirs(name)().fit(given, where).transform(given, where).get_data()
        np.testing.assert_allclose(step(image, mask).data, expected, rtol=tolerance, atol=tolerance)
    found = theirs("WhiteStripeNormalizer")().fit(given, where)
    stripe = mp.whitestripe(image, mask)
    assert zero(image, stripe) == pytest.approx(found.mean, rel=6e-3)
    assert unit(image, stripe) == pytest.approx(found.std, rel=1e-2)


def test_nyul_of_release_3(package):
    fitted = theirs("NyulNormalizer", population=True)().fit_population(
        [adapted(d) for d in COHORT], [adapted(m.data) for m in MASKS]
    )
    state = mp.fit("nyul", IMAGES, MASKS, to=(1, 100))
    np.testing.assert_allclose(state.values["standard"], fitted.standard_scale, rtol=1e-5)
    for image, mask in zip(IMAGES, MASKS, strict=True):
        expected = fitted.transform(adapted(image.data), adapted(mask.data)).get_data()
        result = mp.nyul(image, mask, state=state).data
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("number", range(3))
def test_the_factor_of_least_squares(number):
    """Given the standard that release 2.2.4 had, it is release 2.2.4's factor."""
    result = mp.least_squares(IMAGES[number], MASKS[number], means=OLD_MEANS)
    assert unit(IMAGES[number], result) == pytest.approx(OLD_FACTORS[number], rel=1e-4)


# -- where they are not -----------------------------------------------------------------------


@pytest.mark.parametrize("number", range(3))
def test_their_kernel_density_misses_the_mode(package, number):
    """3.0.1 hands SciPy a bandwidth in intensities, which SciPy multiplies by the deviation.

    The kernel is then wider than the image's range, the density has one bump,
    and its peak is near the mean of everything. The mode that is there is
    white matter's mean.
    """
    image, mask, truth = IMAGES[number], MASKS[number], TRUE_MODES[number]
    found = theirs("KDENormalizer")().fit(adapted(image.data), adapted(mask.data)).tissue_mode
    assert abs(found - truth) > 0.2 * truth
    assert abs(found - image.data.mean()) < 0.05 * truth
    assert unit(image, mp.kde(image, mask)) == pytest.approx(truth, rel=1e-3)


def test_their_kernel_density_depends_on_the_scale(package):
    """The same image in other units has another mode than in these units: the mark of that fault."""
    data = tissues()
    relative = []
    for gain in (1.0, 0.01):
        found = theirs("KDENormalizer")().fit(adapted(data * gain), adapted(MASKS[0].data))
        relative.append(found.tissue_mode / (900 * gain))
    assert abs(relative[0] - relative[1]) > 0.05
    ours = [
        unit(v, mp.kde(v, MASKS[0])) / (900 * g) for g in (1.0, 0.01) for v in [volume(data * g)]
    ]
    np.testing.assert_allclose(ours, 1, rtol=1e-3)


def test_their_least_squares_sees_the_first_image_only(package):
    """Both releases fit the standard means on the first image, whatever comes after it."""
    normalizer = theirs("LSQNormalizer", population=True)

    def fitted(numbers):
        images = [adapted(COHORT[n]) for n in numbers]
        found = normalizer().fit_population(images, [adapted(MASKS[0].data)] * len(numbers))
        return found.standard_tissue_means.ravel()

    np.testing.assert_allclose(fitted([0, 1, 2]), fitted([0]), rtol=1e-4)
    assert np.abs(fitted([1, 0, 2]) / fitted([0, 1, 2]) - 1).max() > 0.1

    def ours(numbers):
        state = mp.fit("least_squares", [IMAGES[n] for n in numbers], [MASKS[n] for n in numbers])
        return np.array(state.values["standard"])

    np.testing.assert_allclose(ours([0, 1, 2]), ours([1, 0, 2]), rtol=1e-9)
    truth = [np.array([m for m, _, _ in T1W]) * c for c in ((1, 1, 1), (1.2, 1, 1), (0.9, 1.06, 1))]
    truth = np.mean([t / np.linalg.norm(t) for t in truth], axis=0)
    assert np.abs(ours([0, 1, 2]) - truth / truth[-1]).max() < 0.04
    assert np.abs(ours([0]) - ours([0, 1, 2])).max() > 0.005

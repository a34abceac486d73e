"""Metrics on the digital head: known truths, planted faults, geometry, odd voxels."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage as nd

from mriprep.core import GeometryError, Grid, InputError, Transform
from mriprep.phantom import head
from mriprep.qc.metrics import METRICS, Measurable, measure, page
from mriprep.qc.metrics.declared import every_measure, told
from mriprep.qc.metrics.formulas import fwhm
from mriprep.qc.metrics.scene import Scene


@cache
def phantom(contrast="T1w", noise=0.02, spacing=3, **more):
    return head(contrast, spacing=spacing, noise=noise, bias=0.2, seed=3, **more)


def measurable(scan=None, image=None, **changes):
    """Of a scan of the phantom, its voxels perhaps others."""
    scan = scan or phantom()
    image = scan.image if image is None else scan.image.replace(np.asarray(image, np.float32))
    given = {
        "image": image,
        "corrected": image.replace(image.floats() / scan.bias_field.data),
        "brain": scan.brain,
        "tissues": scan.probabilities,
        "bias": scan.bias_field,
        "pose": scan.pose,
        "contrast": scan.facts["contrast"],
    }
    return Measurable(**{**given, **changes})


def values(*names, **given):
    """Some metrics, without taking the others' time."""
    scene = Scene(measurable(**given))
    found = {}
    for family, function in every_measure():
        if set(family) & set(names):
            results = told(function, scene)
            found.update(dict.fromkeys(family, results) if isinstance(results, str) else results)
    return [found[n] for n in names]


@pytest.fixture(scope="module")
def whole():
    return measure(measurable())


# -- what comes out --------------------------------------------------------------------------


def test_every_metric_is_a_finite_number_or_missing_with_a_reason(whole) -> None:
    assert [n for n in METRICS if n in whole.values] == list(whole.values)
    assert set(whole.values) | set(whole.missing) == set(METRICS)
    assert not set(whole.values) & set(whole.missing)
    assert all(type(v) is float and np.isfinite(v) for v in whole.values.values())
    assert all(len(reason) > 10 for reason in whole.missing.values())
    assert set(whole.missing) == {
        "tpm_overlap_csf",
        "tpm_overlap_gm",
        "tpm_overlap_wm",
        "left_right",
    }


def test_mriqcs_come_first_and_all_are_described() -> None:
    groups = [m.group for m in METRICS.values()]
    assert groups == sorted(groups, key=lambda g: g == "mriprep")
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.title
        assert metric.meaning.endswith(".")


def test_the_page_is_up_to_date() -> None:
    written = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert written == page.page(), "python -m mriprep.qc.metrics.page > docs/metrics.md"


def test_it_is_the_same_each_time_and_changes_nothing(whole) -> None:
    given = measurable()
    before = given.image.data.copy()
    assert dict(measure(given).values) == dict(whole.values)
    np.testing.assert_array_equal(given.image.data, before)


# -- known truths ----------------------------------------------------------------------------


@pytest.mark.parametrize("blur", [0.8, 1.2, 2.0])
def test_smoothness_of_blurred_noise(blur) -> None:
    noise = nd.gaussian_filter(
        np.random.default_rng(0).normal(0, 1, (70, 70, 70)),
        (blur, blur * 1.2, blur * 1.5),
        mode="wrap",
    )
    mask = np.ones(noise.shape, bool)
    found = fwhm(noise.astype(np.float32), mask)
    # First differences see the kernel as it was sampled: exact from about a voxel's sigma on.
    expected = 2.35482 * blur * np.array([1, 1.2, 1.5])
    np.testing.assert_allclose(found, expected, rtol=0.06)


def test_white_noise_has_no_smoothness() -> None:
    noise = np.random.default_rng(1).normal(0, 1, (40, 40, 40)).astype(np.float32)
    found = np.array(fwhm(noise, np.ones(noise.shape, bool)))
    assert (np.isnan(found) | (found < 1.2)).all()


def test_signal_to_noise_of_the_air_is_the_phantoms() -> None:
    """White matter is 1000, noise 1000 times the share: Dietrich's estimate finds it back."""
    for noise in (0.02, 0.05):
        scan = phantom(noise=noise)
        (found,) = values("snrd_wm", scan=scan)
        assert found == pytest.approx(1 / noise, rel=0.2)


def test_bias_that_is_left_is_measured() -> None:
    scan = phantom()
    x = np.linspace(-1, 1, scan.image.shape[0])[:, None, None]
    found = []
    for strength in (0.0, 0.2, 0.5):
        shaded = scan.image.replace(scan.image.floats() / scan.bias_field.data * (1 + strength * x))
        found += values("residual_bias", corrected=shaded)
    assert found == sorted(found)
    assert found[2] - found[0] > 25
    (left,) = values("residual_bias", corrected=scan.image)
    assert left > found[0]


# -- planted faults --------------------------------------------------------------------------


def roll(data, share, axis):
    return data + share * np.roll(data, data.shape[axis] // 2, axis)


def stripes(data, strength):
    n = data.shape
    wave = np.cos(
        2 * np.pi * (0.31 * np.arange(n[0]))[:, None, None]
        + 2 * np.pi * 0.37 * np.arange(n[1])[:, None]
    )
    return np.abs(data + strength * wave * 1000)


def wider(data, share):
    """Shifted out of the field of view along y, coming in again on the other side."""
    return np.roll(data, round(share * data.shape[1]), 1)


def dark(data, share, axis=2):
    out = data.copy()
    out[:, :, data.shape[2] // 2] *= 1 - share
    return out


def by_turns(data, share):
    out = data.copy()
    out[:, :, ::2] *= 1 - share
    return out


def repeated(data, share):
    out, k = data.copy(), data.shape[2] // 2
    out[:, :, k] = share * out[:, :, k - 1] + (1 - share) * out[:, :, k]
    return out


def without_slices(data, count):
    k = data.shape[2] // 2
    return np.concatenate(
        [data[:, :, :k], data[:, :, k + count :], data[:, :, -count:]][: 3 if count else 2], axis=2
    )


def clip(data, share):
    return np.minimum(data, np.quantile(data, 1 - share)) if share else data


def blurred(data, sigma):
    return nd.gaussian_filter(data, sigma) if sigma else data


def rings(data, strength):
    """Motion along y halfway through: every second line of k-space comes from a shifted head."""
    moved = np.fft.fft(np.roll(data, 2, 1), axis=1)
    lines = np.fft.fft(data, axis=1)
    lines[:, ::2] += strength * (moved - lines)[:, ::2]
    return np.abs(np.fft.ifft(lines, axis=1))


FAULTS = {
    "ghost along x": (lambda d, s: roll(d, s, 0), (0, 0.05, 0.15), "ghost_x", "up", 2.0),
    "ghost along y": (lambda d, s: roll(d, s, 1), (0, 0.05, 0.15), "ghost_y", "up", 2.0),
    "motion": (rings, (0, 0.3, 1.0), "ghost_y", "up", 1.0),
    "spike": (stripes, (0, 0.02, 0.1), "spike", "up", 2.0),
    "wrap": (wider, (0, 0.12, 0.25), "wrap_y", "up", 5.0),
    "dark slice": (dark, (0, 0.1, 0.4), "slice_outlier", "up", 25.0),
    "interleaved": (by_turns, (0, 0.05, 0.2), "slice_alternation", "up", 8.0),
    "slice repeated": (repeated, (0, 0.5, 1.0), "slice_repeat", "down", 0.4),
    "slices missing": (without_slices, (0, 2, 4), "slice_gap", "up", 0.5),
    "clipped": (clip, (0, 0.1, 0.3), "clipped", "up", 5.0),
    "blur widens edges": (blurred, (0, 0.8, 1.5), "edge_width", "up", 1.5),
    "blur dulls": (blurred, (0, 0.8, 1.5), "sharpness", "down", 1.0),
    "blur correlates noise": (blurred, (0, 0.5, 1.0), "noise_correlation_x", "up", 0.3),
    "blur smooths": (blurred, (0, 0.8, 1.5), "fwhm_avg", "up", 0.5),
    "ghosts raise entropy": (lambda d, s: roll(d, s, 1), (0, 0.05, 0.15), "efc", "up", 0.01),
    "ghosts shine in the air": (lambda d, s: roll(d, s, 1), (0, 0.4, 0.6), "qi_1", "up", 0.01),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_moves_its_metric(fault) -> None:
    spoil, strengths, name, way, least = FAULTS[fault]
    data = phantom().image.floats()
    found = [values(name, image=spoil(data, s))[0] for s in strengths]
    assert all(isinstance(v, float) for v in found), found
    steps = np.diff(found) * (1 if way == "up" else -1)
    assert (steps > 0).all(), found
    assert abs(found[-1] - found[0]) > least, found


def test_noise_moves_what_it_should() -> None:
    names = ("snr_wm", "cnr", "cjv", "gradient_entropy", "fber")
    clean, noisy = (values(*names, scan=phantom(noise=n)) for n in (0.02, 0.08))
    for name, a, b in zip(names, clean, noisy, strict=True):
        assert (b > a) == (METRICS[name].better == "lower"), name


def test_zero_filling_is_seen_along_its_axis() -> None:
    data = phantom().image.floats()
    lines = np.fft.fft(data, axis=1)
    n = data.shape[1]
    lines[:, np.abs(np.fft.fftfreq(n)) > 0.25] = 0
    filled = np.abs(np.fft.ifft(lines, axis=1))
    names = [f"kspace_{a}" for a in "xyz"] + ["resolution_y"]
    assert values(*names) == [1, 1, 1, pytest.approx(3)]
    x, y, z, size = values(*names, image=filled)
    assert (x, z) == (1, 1)
    assert y == pytest.approx(0.5, abs=0.06)
    assert size == pytest.approx(6, abs=0.8)


def test_a_stripped_brain_has_no_air_and_says_so() -> None:
    scan = phantom()
    found = measure(measurable(image=np.where(scan.brain.data, scan.image.data, 0)))
    for name in ("snrd_wm", "fber", "qi_2", "noise_correlation_x", "ghost_y", "ringing"):
        assert name not in found.values, name
        assert found.missing[name]
    assert found.values["head_signal"] < 1
    assert values("head_signal")[0] > 40
    assert found.values["empty_air"] > 95
    assert found.values["cjv"] == pytest.approx(measure(measurable()).values["cjv"], rel=0.2)


@pytest.mark.parametrize("contrast", ["T1w", "T2w", "FLAIR", "PDw"])
def test_a_wrong_label_is_seen(contrast) -> None:
    scan = phantom(contrast)
    (right,) = values("contrast_order", scan=scan)
    for other in {"T1w", "T2w", "FLAIR", "PDw"} - {contrast}:
        (wrong,) = values("contrast_order", scan=scan, contrast=other)
        # Fluid is darkest in FLAIR and in T1w, grey above white matter in all but T1w.
        if (contrast, other) not in {("T1w", "FLAIR"), ("T2w", "PDw"), ("FLAIR", "PDw")}:
            assert wrong < 0 < right, other
    (rim,) = values("rim_to_core", scan=scan)
    if contrast in ("T1w", "T2w"):
        assert (rim < 1) == (contrast == "T1w")
    assert isinstance(values("contrast_order", scan=scan, contrast="bold")[0], str)


def test_the_order_comes_from_the_template_where_there_is_one() -> None:
    """A segmentation that took the label's word cannot hide that it is wrong."""
    scan = phantom("T2w")
    fooled = {
        "csf": scan.probabilities["wm"],
        "gm": scan.probabilities["gm"],
        "wm": scan.probabilities["csf"],
    }
    assert values("contrast_order", scan=scan, contrast="T1w", tissues=fooled)[0] > 0
    identity = Transform.identity(scan.image.grid)
    (found,) = values(
        "contrast_order",
        scan=scan,
        contrast="T1w",
        tissues=fooled,
        pose=identity,
        template_tissues=scan.probabilities,
    )
    assert found < 0


def test_sides_are_told_by_an_uneven_template() -> None:
    scan = phantom()
    x = scan.image.grid.to_world(np.argwhere(np.ones(scan.image.shape, bool)))[:, 0].reshape(
        scan.image.shape
    )
    uneven = scan.image.floats() * (1 + 0.03 * np.sin(x / 9))
    template = scan.image.replace(scan.clean.data * (1 + 0.03 * np.sin(x / 9)))
    identity = Transform.identity(scan.image.grid)
    given = {"pose": identity, "template": template}
    (right,) = values("left_right", image=uneven, **given)
    (wrong,) = values("left_right", image=scan.image.floats() * (1 - 0.03 * np.sin(x / 9)), **given)
    assert right > 3
    assert wrong < -3
    assert abs(values("left_right", **given)[0]) < right


# -- geometry and odd voxels -----------------------------------------------------------------


@pytest.mark.parametrize("orientation", ["LAS", "LPS", "PSR", "IRA"])
def test_orientation_of_the_array_does_not_matter(orientation, whole) -> None:
    def turned(volume):
        order, flip = volume.grid.axes_to(orientation)
        data = np.transpose(volume.data, order)[
            tuple(slice(None, None, -1 if f else None) for f in flip)
        ]
        return volume.replace(data, grid=volume.grid.reoriented(orientation))

    m = measurable()
    other = Measurable(
        turned(m.image), turned(m.corrected), turned(m.brain), {t: turned(v) for t, v in m.tissues.items()},
        turned(m.bias), m.pose, m.contrast,
    )  # fmt: skip
    found = measure(other)
    stack = "slice_"  # along the file's last axis, which is another one now
    for name, value in whole.values.items():
        if not name.startswith(stack):
            assert found.values[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


def test_oblique_grids_keep_their_axes(whole) -> None:
    m = measurable()
    turn = Transform.rigid((12, -8, 15)).matrix

    def moved(volume):
        return volume.replace(grid=Grid(volume.shape, turn @ volume.affine))

    pose = Transform(turn @ m.pose.matrix)
    found = measure(
        Measurable(
            moved(m.image), moved(m.corrected), moved(m.brain), {t: moved(v) for t, v in m.tissues.items()},
            moved(m.bias), pose, m.contrast,
        )
    )  # fmt: skip
    for name, value in whole.values.items():
        assert found.values[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name


def test_anisotropic_voxels() -> None:
    found = measure(measurable(phantom(spacing=(2, 2, 6))))
    assert [found.values[f"spacing_{a}"] for a in "xyz"] == pytest.approx([2, 2, 6])
    assert {"spike", "slice_gap", "edge_width", "snrd_wm"} <= set(found.values)
    assert "3.0 times as thick" in found.missing["ringing"]


@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint8", "float64"])
def test_types_of_voxels(dtype, whole) -> None:
    scan = phantom(dtype=dtype)
    found = measure(measurable(scan))
    for name in ("snr_wm", "cjv", "efc", "edge_width"):
        assert found.values[name] == pytest.approx(whole.values[name], rel=0.05), name


def test_nan_and_negative_values_are_no_values(whole) -> None:
    scan = phantom()
    data = scan.image.floats()
    data[:3] = np.nan
    data[-3:] = -50
    data[3, 5, 5] = np.inf
    found = measure(measurable(image=data))
    assert not set(found.missing) - set(whole.missing)
    for name in ("snr_wm", "cjv", "fwhm_avg"):
        assert found.values[name] == pytest.approx(whole.values[name], rel=0.05), name


@pytest.mark.parametrize("value", [0, 7])
def test_an_image_of_one_value_is_missing_not_wrong(value) -> None:
    scan = phantom()
    same = scan.image.replace(np.full(scan.image.shape, value, np.float32))
    found = measure(measurable(image=same.data, corrected=same))
    assert {"cjv", "snr_wm", "edge_width", "slice_gap"} <= set(found.missing)
    assert all(np.isfinite(v) for v in found.values.values())


def test_an_empty_brain_leaves_the_grid_alone() -> None:
    scan = phantom()
    nothing = scan.brain.replace(np.zeros(scan.brain.shape, bool))
    found = measure(measurable(brain=nothing))
    assert {"size_x", "spacing_z"} <= set(found.values)
    assert "the brain mask has 0 voxels" in found.missing["cjv"]


def test_a_small_image_is_measured_as_far_as_it_goes() -> None:
    found = measure(measurable(phantom(spacing=12)))
    assert found.values["size_x"] < 24
    assert "too few" in found.missing["kspace_x"]


def test_without_a_template_the_hat_is_guessed() -> None:
    with_pose, without = (Scene(measurable(pose=p)).hat for p in (phantom().pose, None))
    assert (with_pose & without).sum() > 0.75 * max(with_pose.sum(), without.sum())


def test_other_grids_and_missing_tissues_are_told() -> None:
    other = phantom(spacing=4)
    with pytest.raises(GeometryError, match="'brain' lies on another grid"):
        measurable(brain=other.brain)
    with pytest.raises(InputError, match="tissues lack gm, wm"):
        measurable(tissues={"csf": phantom().probabilities["csf"]})


def test_the_bias_field_may_be_missing() -> None:
    found = measure(measurable(bias=None))
    assert found.missing["inu_range"] == "there is no bias field"

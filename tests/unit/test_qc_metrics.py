"""Metrics on the digital head: known truths, planted faults, geometry, odd voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage as nd

from metric_scene import measurable, phantom, values
from mriprep.core import GeometryError, Grid, InputError, Transform
from mriprep.qc.metrics import METRICS, Measurable, measure, page
from mriprep.qc.metrics.formulas import fwhm
from mriprep.qc.metrics.scene import Scene


@pytest.fixture(scope="module")
def whole():
    return measure(measurable())


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

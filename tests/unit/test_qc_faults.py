"""Planted faults move their metrics; labels and sides that are wrong are seen."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as nd

from metric_scene import measurable, phantom, values
from mriprep.core import Transform
from mriprep.qc.metrics import METRICS, measure


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

"""mriprep's own N4 against ITK's, in torch, on any number of threads, and its lattice on other grids."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import pytest

import mriprep as mp
from mriprep.declare import keeping
from mriprep.engines.bias import native, sitk
from mriprep.kernels import bias, bias_torch, spline
from mriprep.phantom import head

SETTINGS = {
    "levels": 4, "iterations": 50, "shrink": 1.0, "fwhm": 0.15, "noise": 0.01, "convergence": 1e-3,
}  # fmt: skip


@pytest.fixture(scope="module")
def scan() -> tuple[mp.Volume, mp.Volume]:
    phantom = head("T1w", spacing=(5, 4, 6), noise=0.03, bias=0.5, orientation="LPS", seed=2)
    inside = phantom.image.data > 150
    return phantom.image, mp.Volume(inside, phantom.grid, "mask")


@pytest.fixture(scope="module")
def usual(scan) -> mp.Volume:
    """The field of the usual settings, which several tests compare with."""
    return native.field(*scan, **SETTINGS)[0]


def logs(field: mp.Volume, mask: mp.Volume) -> np.ndarray:
    return np.log(field.data[mask.data])


def test_the_field_is_itks(scan, usual) -> None:
    image, mask = scan
    ours = logs(usual, mask)
    theirs = logs(sitk.field(image, mask, **SETTINGS)[0], mask)
    assert theirs.std() > 0.05
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9999
    # A level may end an iteration sooner or later by round-off; by then the fields hardly change.
    assert np.std(ours - theirs) < 1e-3


def test_iteration_by_iteration_it_is_itks(scan) -> None:
    image, mask = scan
    settings = {**SETTINGS, "iterations": 12, "convergence": 0.0, "spline_distance": 120.0}
    ours = logs(native.field(image, mask, **settings)[0], mask)
    theirs = logs(sitk.field(image, mask, **settings)[0], mask)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_weights(scan, usual) -> None:
    image, mask = scan
    plain = logs(usual, mask)
    even = image.replace(np.full(image.shape, 0.5, np.float32))
    alike = logs(native.field(image, mask, weights=even, **SETTINGS)[0], mask)
    np.testing.assert_allclose(alike, plain, atol=1e-4)
    trust = np.ones(image.shape, np.float32)
    trust[: image.shape[0] // 2] = 0
    half = mp.n4(image, mask, image.replace(trust))
    cut = mp.n4(image, mask.replace(mask.data & (trust > 0)))
    np.testing.assert_allclose(half.data, cut.data, rtol=1e-4)
    with pytest.raises(mp.InputError, match="no weights"):
        mp.n4(image, mask, even, engine="sitk")
    with pytest.raises(mp.InputError, match="negative"):
        mp.n4(image, mask, even.replace(-even.data))


def test_torch_gives_the_same(scan, usual, monkeypatch) -> None:
    image, mask = scan
    numba_field = logs(usual, mask)

    def on_torch(values, inside, confidence, device):
        return bias_torch.Voxels(values, inside, confidence, "cpu")

    monkeypatch.setattr(native, "_voxels", on_torch)
    torch_field = logs(native.field(image, mask, **SETTINGS)[0], mask)
    assert np.sqrt(np.mean((numba_field - torch_field) ** 2)) < 1e-3


def test_a_gpu_gives_the_same(scan) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU on this machine")
    image, mask = scan
    on_cpu = logs(native.field(image, mask, device="cpu", **SETTINGS)[0], mask)
    on_gpu = logs(native.field(image, mask, device="cuda", **SETTINGS)[0], mask)
    assert np.sqrt(np.mean((on_cpu - on_gpu) ** 2)) < 1e-3


def test_threads_play_no_part(scan, usual, monkeypatch) -> None:
    image, mask = scan
    alone = usual.data
    # As for a large scan, whose loops are shared among threads.
    monkeypatch.setattr(bias, "_FEW", 0)
    fields = []
    for threads in (1, 2):
        before = numba.get_num_threads()
        numba.set_num_threads(min(threads, before))
        fields.append(native.field(image, mask, **SETTINGS)[0].data)
        numba.set_num_threads(before)
    np.testing.assert_array_equal(*fields)
    np.testing.assert_allclose(fields[0], alone, rtol=1e-4)


def test_the_lattice_is_the_field_on_any_grid(scan) -> None:
    image, mask = scan
    with keeping() as kept:
        mp.n4(image, mask)
    lattice, field = kept["bias_lattice"], kept["bias_field"]
    assert lattice.data.size < 2000
    for code in ("RAS", "PSR", "LPS"):
        there = mp.reorient(field, to=code)
        np.testing.assert_allclose(
            np.exp(spline.evaluate(lattice, there.grid)), there.data, rtol=1e-5
        )
    oblique = mp.Transform.rigid((20, 10, 5), center=image.grid.center).matrix
    turned = mp.Grid((9, 9, 9), oblique @ image.grid.window((5, 5, 5), (9, 9, 9)).affine)
    found = np.exp(spline.evaluate(lattice, turned))
    expected = mp.resample(field, to=turned, antialias=False).data
    inside = expected > 0
    np.testing.assert_allclose(found[inside], expected[inside], rtol=5e-3)


def test_refining_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    grid = mp.Grid((17, 13, 21), np.diag([2.0, -1.5, 1.0, 1.0]))
    coarse = rng.normal(size=(5, 6, 4))
    once = mp.Volume(coarse, spline.control_grid(grid, (2, 3, 1)))
    twice = mp.Volume(spline.refined(coarse), spline.control_grid(grid, (4, 6, 2)))
    np.testing.assert_allclose(spline.evaluate(once, grid), spline.evaluate(twice, grid), atol=1e-5)


@pytest.mark.parametrize("make", [bias.Voxels, lambda *a: bias_torch.Voxels(*a, device="cpu")])
def test_the_loops_against_plain_sums(make: Callable[..., bias.Voxels]) -> None:
    rng = np.random.default_rng(1)
    mask = rng.random((7, 6, 9)) > 0.4
    values = rng.normal(size=int(mask.sum())).astype(np.float32)
    weights = rng.random(values.size).astype(np.float32)
    voxels = make(values.copy(), mask, weights)
    low, high = voxels.range()
    assert (low, high) == (float(values.min()), float(values.max()))
    scale = 19 / (high - low)
    x = (values.astype(np.float64) - low) * scale
    counts = np.zeros(21)
    np.add.at(counts, x.astype(int), (1 - x % 1) * weights)
    np.add.at(counts, x.astype(int) + 1, (x % 1) * weights)
    np.testing.assert_allclose(voxels.histogram(low, scale, 20), counts[:20], atol=1e-3)
    axes = [spline.basis(np.arange(n) * (2 / (n - 1)), 2) for n in mask.shape]
    dense = [b.dense().astype(np.float64) for b in axes]
    where = np.argwhere(mask)
    taps = np.einsum("an,bn,cn->nabc", *(d[:, where[:, i]] for i, d in enumerate(dense)))
    squares = (taps**2).sum((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(
        voxels.density(axes), (weights[:, None, None, None] * taps**2).sum(0), rtol=1e-4
    )
    table = np.linspace(low, high, 20) ** 2
    rest = values - np.interp(values, np.linspace(low, high, 20), table)
    fit = ((weights * rest)[:, None, None, None] * taps**3 / squares).sum(0)
    np.testing.assert_allclose(voxels.fit(table, low, scale, axes), fit, atol=1e-3)
    update = rng.normal(scale=0.1, size=fit.shape)
    field = (taps * update).sum((1, 2, 3))
    low, high, variation = voxels.subtract(update, axes)
    np.testing.assert_allclose(
        [low, high], [(values - field).min(), (values - field).max()], atol=1e-5
    )
    change = np.exp(-field)
    assert variation == pytest.approx(change.std(ddof=1) / change.mean(), rel=1e-4)

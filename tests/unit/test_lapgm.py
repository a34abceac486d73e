"""LapGM of our own: against a known field, plain linear algebra, itself elsewhere; and odd scans."""

from __future__ import annotations

import numba
import numpy as np
import pytest

import mriprep as mp
from mriprep.declare import keeping
from mriprep.engines.bias import _lapgm, lapgm
from mriprep.kernels import lapgm as kernel
from mriprep.kernels import lapgm_torch
from mriprep.kernels.lapgm_model import Mixture
from mriprep.phantom import head


@pytest.fixture(scope="module")
def phantom():
    return head("T1w", spacing=4, noise=0.02, bias=0.5, seed=3)


def logs(volume, inside):
    return np.log(volume.data[inside])


def corrected(image, mask=None, **settings):
    with keeping() as kept:
        result = mp.lapgm(image, mask, shrink=4, device="cpu", **settings)
    return result, kept["bias_field"]


# -- the known field --------------------------------------------------------------------------


def test_a_known_field_is_found(phantom) -> None:
    result, field = corrected(phantom.image, phantom.brain)
    inside = phantom.brain.data
    found, true = logs(field, inside), logs(phantom.bias_field, inside)
    assert np.corrcoef(found, true)[0, 1] > 0.85
    assert (found - true).std() < 0.6 * true.std()
    white = phantom.probabilities["wm"].data > 0.95

    def variation(image: mp.Volume) -> float:
        return float(image.data[white].std() / image.data[white].mean())

    assert variation(result) < 0.7 * variation(phantom.image)
    np.testing.assert_allclose(result.data, phantom.image.data / field.data, rtol=1e-5)
    assert logs(field, inside).mean() == pytest.approx(0, abs=1e-5)


def test_two_classes_with_a_field_are_found_to_the_percent() -> None:
    rng = np.random.default_rng(0)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (40, 36, 30)), indexing="ij")
    true = 0.2 * np.cos(np.pi * (x + 1) / 2) + 0.1 * y * z
    checks = (np.indices(x.shape) // 6).sum(0) % 2
    values = np.exp(true + np.where(checks, 5, 4) + rng.normal(0, 0.05, x.shape))
    image = mp.Volume(values.astype(np.float32), np.diag([2.0, 2, 2, 1]))
    _, field = corrected(image, image.replace(np.ones(x.shape, bool), role="mask"), classes=2)
    error = np.log(field.data) - (true - true.mean())
    assert error.std() < 0.02
    found = lapgm.estimate([image], image.replace(values > 0, role="mask"), classes=2, shrink=2)
    np.testing.assert_allclose(np.sort(found.mixture.means[:, 0]) - true.mean(), [4, 5], atol=0.01)
    np.testing.assert_allclose(found.mixture.covariances[:, 0, 0], 0.05**2, rtol=0.1)


@pytest.mark.parametrize("code", ["LAS", "LPS", "PSR"])
def test_orientation_plays_no_part(phantom, code) -> None:
    _, field = corrected(phantom.image, phantom.brain)
    _, turned = corrected(mp.reorient(phantom.image, to=code), mp.reorient(phantom.brain, to=code))
    there = mp.reorient(field, to=code)
    assert np.abs(np.log(turned.data / there.data)).max() < 2e-3


def test_voxel_size_hardly_plays_a_part(phantom) -> None:
    fine = head("T1w", spacing=2.5, noise=0.02, bias=0.5, seed=3, labels=False)
    found = []
    for shrink in (2.5, 5):
        field, _ = lapgm.field(fine.image, fine.brain, shrink=shrink)
        found.append(logs(field, fine.brain.data))
    assert np.corrcoef(*found)[0, 1] > 0.98
    assert found[1].std() == pytest.approx(found[0].std(), rel=0.1)


def test_a_stiffer_prior_gives_a_flatter_field(phantom) -> None:
    spread = [
        logs(
            lapgm.field(phantom.image, phantom.brain, tau=t, shrink=4)[0], phantom.brain.data
        ).std()
        for t in (1e-7, 1e-5, 1e-3)
    ]
    assert spread == sorted(spread)
    assert spread[0] < 0.1 * spread[2]


# -- several contrasts ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def contrasts():
    """Two contrasts of one head that share a field, with noise."""
    made = {c: head(c, spacing=4, noise=0, bias=0, seed=3, labels=False) for c in ("T1w", "T2w")}
    field = head("T1w", spacing=4, bias=0.5, seed=5, labels=False).bias_field
    rng = np.random.default_rng(1)
    images = {}
    for c, m in made.items():
        noise = rng.normal(0, 0.03 * np.percentile(m.clean.data[m.brain.data], 90), m.grid.shape)
        images[c] = m.image.replace(np.float32(m.clean.data * field.data + noise))
    return images, made["T1w"].brain, field


def test_contrasts_together(contrasts) -> None:
    images, mask, true = contrasts
    with keeping() as kept:
        result = mp.lapgm_joint(images, mask, shrink=4)
    assert list(result) == ["T1w", "T2w"]
    inside = mask.data & (images["T1w"].data > 0) & (images["T2w"].data > 0)
    together = logs(kept["bias_field"], inside)
    target = logs(true, inside)
    assert np.corrcoef(together, target)[0, 1] > 0.85
    alone = [logs(corrected(v, mask)[1], inside) for v in images.values()]
    errors = [(f - target).std() for f in (together, *alone)]
    assert errors[0] < max(errors[1:])
    for name, image in images.items():
        np.testing.assert_allclose(
            result[name].data, image.data / kept["bias_field"].data, rtol=1e-5
        )


def test_one_contrast_jointly_is_that_contrast_alone(phantom) -> None:
    alone, _ = corrected(phantom.image, phantom.brain)
    joint = mp.lapgm_joint({"T1w": phantom.image}, phantom.brain, shrink=4, device="cpu")
    np.testing.assert_array_equal(joint["T1w"].data, alone.data)


def test_normalising_puts_the_brightest_class_at_the_target(contrasts) -> None:
    images, mask, _ = contrasts
    plain = mp.lapgm_joint(images, mask, shrink=4)
    each = mp.lapgm_joint(images, mask, shrink=4, normalise="each", target=500)
    for name, volume in each.items():
        again = lapgm.estimate(
            [volume.replace(np.where(volume.data > 0, volume.data, 1))],
            mask.replace(mask.data & (volume.data > 0)), shrink=4, tau=1e-9,
        )  # fmt: skip
        assert np.exp(again.mixture.means.max()) == pytest.approx(500, rel=0.15), name
    jointly = mp.lapgm_joint(images, mask, shrink=4, normalise="jointly", target=500)
    ratio = [float(np.median(jointly[n].data / plain[n].data)) for n in images]
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-5)
    mixture = Mixture(np.ones(2) / 2, np.log([[2.0, 30], [4.0, 10]]), np.ones((2, 2, 2)))
    np.testing.assert_allclose(lapgm.scales(mixture), [4, 30])
    np.testing.assert_allclose(lapgm.scales(mixture, jointly=True), (16 + 900) / 34)


def test_what_cannot_be_joined_is_refused(contrasts, phantom) -> None:
    images, mask, _ = contrasts
    with pytest.raises(mp.GeometryError, match="grid"):
        mp.lapgm_joint({**images, "PDw": mp.reorient(images["T1w"], to="PSR")}, mask)
    with pytest.raises(mp.InputError, match="needs images"):
        mp.lapgm_joint({})
    with pytest.raises(mp.InputError, match="normalise"):
        mp.lapgm_joint(images, mask, normalise="both")  # type: ignore[arg-type]
    with pytest.raises(mp.RecipeError, match=r"lapgm\.tau"):
        mp.lapgm_joint(images, mask, tau=-1)
    flat = phantom.image.replace(np.full(phantom.image.shape, 5.0))
    with pytest.raises(mp.InputError, match="constant"):
        mp.lapgm_joint({"a": images["T1w"], "b": flat}, mask)


# -- its parts --------------------------------------------------------------------------------


def small(contrasts=2, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    inside = rng.random((9, 11, 10)) > 0.4
    values = rng.normal(4, 0.5, (contrasts, int(inside.sum()))).astype(np.float32)
    axes = [_lapgm.Waves(n, s, 4) for n, s in zip((12, 11, 15), (1.0, 2.0, 1.5), strict=True)]
    at = [np.arange(o, o + n) for o, n in zip((2, 0, 4), inside.shape, strict=True)]
    bases = [a.at(p) for a, p in zip(axes, at, strict=True)]
    finer = [a._replace(number=8).at(p) for a, p in zip(axes, at, strict=True)]
    root = rng.normal(0, 0.4, (classes, contrasts, contrasts))
    mixture = Mixture(
        np.ones(classes) / classes,
        rng.normal(4, 0.5, (classes, contrasts)),
        root @ root.swapaxes(1, 2) + 0.1 * np.eye(contrasts),
    )
    return values, inside, axes, bases, finer, mixture


BACKENDS = [kernel.Voxels, lambda *a: lapgm_torch.Voxels(*a, device="cpu")]


@pytest.mark.parametrize("make", BACKENDS, ids=["numba", "torch"])
@pytest.mark.parametrize("contrasts", [1, 2])
def test_the_loops_against_plain_sums(make, contrasts) -> None:
    values, inside, _, bases, finer, mixture = small(contrasts)
    waves = np.random.default_rng(1).normal(0, 0.5, (4, 4, 4))
    voxels = make(values, inside, bases, finer)
    sums = voxels.expect(waves, mixture)
    field = np.einsum("abc,xa,yb,zc->xyz", waves, *bases)[inside]
    rest = (values - field)[None] - mixture.means[..., None]
    inverse = np.linalg.inv(mixture.covariances)
    density = mixture.shares[:, None] * np.exp(
        -np.einsum("kin,kij,kjn->kn", rest, inverse, rest) / 2
    ) / np.sqrt(np.linalg.det(mixture.covariances))[:, None]  # fmt: skip
    w = density / density.sum(0)
    expected = [w.sum(1)[:, None], np.einsum("kn,kin->ki", w, rest)]
    expected.append(np.einsum("kn,kin,kjn->kij", w, rest, rest).reshape(len(w), -1))
    np.testing.assert_allclose(sums, np.concatenate(expected, axis=1), rtol=1e-4, atol=1e-2)
    weights, target = voxels.hold(mixture)
    rows = inverse.sum(1)
    volume = np.zeros(inside.shape)
    volume[inside] = np.einsum("kn,ki->n", w, rows)
    np.testing.assert_allclose(
        weights, np.einsum("xyz,xa,yb,zc->abc", volume, *finer), rtol=1e-3, atol=2e-2
    )
    pulls = np.zeros(inside.shape)
    pulls[inside] = np.einsum("kn,ki,kin->n", w, rows, values[None] - mixture.means[..., None])
    np.testing.assert_allclose(
        target, np.einsum("xyz,xa,yb,zc->abc", pulls, *bases), rtol=1e-3, atol=5e-2
    )


def test_the_system_is_the_voxels() -> None:
    _, inside, axes, bases, finer, _ = small()
    rng = np.random.default_rng(2)
    volume = np.where(inside, rng.uniform(1, 50, inside.shape), 0)
    fine = np.einsum("xyz,xa,yb,zc->abc", volume, *finer)
    x, y, z = (a.roughness for a in axes)
    stiffness = 30 * (x[:, None, None] + y[:, None] + z)
    system = _lapgm._System(fine, stiffness, axes)
    cosines = np.einsum("xa,yb,zc->xyzabc", *bases).reshape(inside.size, -1)
    matrix = cosines.T @ (volume.reshape(-1, 1) * cosines) + np.diag(stiffness.ravel())
    target = rng.normal(size=stiffness.shape)
    np.testing.assert_allclose(
        system.times(target).ravel(), matrix @ target.ravel(), rtol=1e-3, atol=1e-3
    )
    found, products = _lapgm._solved(system, target, np.zeros_like(target), 1e-5)
    np.testing.assert_allclose(
        found.ravel(), np.linalg.solve(matrix, target.ravel()), rtol=1e-2, atol=1e-5
    )
    assert products < 60


def test_the_inverse_is_one() -> None:
    root = np.random.default_rng(3).normal(size=(60, 70))
    matrix = root @ root.T + np.diag(np.logspace(-3, 5, 60))
    np.testing.assert_allclose(
        _lapgm.inverted(matrix), np.linalg.inv(matrix), rtol=1e-6, atol=1e-12
    )


def test_roughness_is_the_laplacians() -> None:
    n, spacing = 7, 1.5
    chain = np.diag(np.r_[1, np.full(n - 2, 2), 1]) - np.eye(n, k=1) - np.eye(n, k=-1)
    waves = _lapgm.Waves(n, spacing, n)
    columns = waves.at(np.arange(n)).astype(float)
    np.testing.assert_allclose(columns.T @ columns, np.eye(n), atol=1e-6)
    np.testing.assert_allclose(
        columns.T @ (chain / spacing**2) @ columns, np.diag(waves.roughness), atol=1e-6
    )


def test_the_start_is_the_best_parting() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(m, 0.1, 500) for m in (1, 2, 5)]).astype(np.float32)
    start = _lapgm.started(values[None], 3, np.array([1e-6]))
    np.testing.assert_allclose(start.means[:, 0], [1, 2, 5], atol=0.02)
    np.testing.assert_allclose(start.shares, 1 / 3, atol=1e-3)
    both = np.stack([values, values[::-1]])
    several = _lapgm.started(both, 3, np.full(2, 1e-6))
    assert several.means.shape == (3, 2)
    np.testing.assert_allclose(several.shares.sum(), 1)


def test_torch_gives_the_same(phantom, monkeypatch) -> None:
    ours, _ = lapgm.field(phantom.image, phantom.brain, shrink=4)

    def on_torch(values, inside, bases, finer, device):
        return lapgm_torch.Voxels(values, inside, bases, finer, "cpu")

    monkeypatch.setattr(lapgm, "_voxels", on_torch)
    theirs, _ = lapgm.field(phantom.image, phantom.brain, shrink=4)
    assert np.abs(np.log(ours.data / theirs.data)).max() < 1e-3


def test_a_gpu_gives_the_same(phantom) -> None:
    torch = pytest.importorskip("torch", reason="needs torch")
    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU on this machine")
    cpu, gpu = (lapgm.field(phantom.image, phantom.brain, device=d)[0] for d in ("cpu", "cuda"))
    assert np.abs(np.log(cpu.data / gpu.data)).max() < 1e-3


def test_threads_play_no_part(phantom, monkeypatch) -> None:
    # As for a large scan, whose loops are shared among threads.
    alone, _ = lapgm.field(phantom.image, phantom.brain, shrink=4)
    monkeypatch.setattr(kernel, "_SMALL", 0)
    monkeypatch.setattr(kernel, "_FEW", 0)
    for threads in (1, 2):
        before = numba.get_num_threads()
        numba.set_num_threads(min(threads, before))
        shared, _ = lapgm.field(phantom.image, phantom.brain, shrink=4)
        numba.set_num_threads(before)
        np.testing.assert_allclose(shared.data, alone.data, rtol=1e-5)
        if threads == 1:
            first = shared
    np.testing.assert_array_equal(shared.data, first.data)


# -- odd scans --------------------------------------------------------------------------------


def test_voxels_that_are_not_positive_take_no_part(phantom) -> None:
    data = phantom.image.floats()
    data[phantom.brain.data & (np.indices(data.shape).sum(0) % 7 == 0)] = -50
    data[phantom.brain.data & (np.indices(data.shape).sum(0) % 11 == 0)] = 0
    data[0, 0, 0] = np.nan
    with pytest.warns(mp.MriprepWarning, match="NaN"):
        result = mp.lapgm(mp.Volume(data, phantom.grid), phantom.brain, shrink=4)
    assert np.isfinite(result.data).all()
    assert (result.data[data < 0] < 0).all()
    assert (result.data[data == 0] == 0).all()


def test_too_little_is_refused(phantom) -> None:
    few = np.zeros(phantom.image.shape, bool)
    few[20:23, 20:23, 20:23] = True
    with pytest.raises(mp.InputError, match="too few"):
        mp.lapgm(phantom.image, mp.Volume(few, phantom.grid, "mask"))
    with pytest.raises(mp.InputError, match="constant"):
        mp.lapgm(mp.Volume(np.full((8, 8, 8), 5.0), np.eye(4)))
    elsewhere = mp.Volume(few, np.diag([3.0, 3, 3, 1]), "mask")
    with pytest.raises(mp.GeometryError, match="grid"):
        mp.lapgm(phantom.image, elsewhere)


def test_few_voxels_of_few_values(phantom) -> None:
    few = np.zeros(phantom.image.shape, bool)
    few[20:26, 24:28, 24:28] = True
    result = mp.lapgm(phantom.image, mp.Volume(few, phantom.grid, "mask"), shrink=16)
    assert np.isfinite(result.data).all()
    two = phantom.image.replace(np.where(phantom.brain.data, 7, 3).astype(np.uint8))
    everywhere = phantom.brain.replace(np.ones(two.shape, bool))
    assert np.isfinite(mp.lapgm(two, everywhere, classes=8).data).all()


def test_bytes(phantom) -> None:
    scale = 200 / phantom.image.data.max()
    coarse = phantom.image.replace(np.rint(phantom.image.data * scale).astype(np.uint8))
    _, field = corrected(coarse, phantom.brain)
    _, exact = corrected(phantom.image, phantom.brain)
    inside = phantom.brain.data
    assert np.corrcoef(logs(field, inside), logs(exact, inside))[0, 1] > 0.97


def test_two_slices_and_thick_slices() -> None:
    rng = np.random.default_rng(0)
    for shape, spacing in (((40, 40, 2), (1, 1, 5.5)), ((48, 44, 14), (0.9, 0.9, 5.5))):
        x = np.linspace(-1, 1, shape[0])[:, None, None]
        data = (100 + rng.normal(0, 3, shape)) * np.exp(0.3 * x)
        data[:4] = rng.uniform(0, 5, (4, *shape[1:]))
        result = mp.lapgm(mp.Volume(data, np.diag([*spacing, 1.0])), classes=2, tau=1e-3)
        assert np.isfinite(result.data).all()
        bright = data[8:-8] > 20
        assert result.data[8:-8][bright].std() < data[8:-8][bright].std()


def test_an_oblique_grid_and_a_mask_at_its_border() -> None:
    turn = mp.Transform.rigid((8, -5, 12), (3, 2, -4)).matrix
    grid = mp.Grid((44, 40, 20), turn @ head(spacing=(5, 6, 11), bias=0).grid.affine)
    scan = head("T1w", grid=grid, noise=0.02, bias=0.5, labels=False, seed=3)
    everywhere = scan.brain.replace(np.ones(grid.shape, bool))
    for mask in (scan.brain, everywhere, None):
        result, field = corrected(scan.image, mask)
        assert np.isfinite(result.data).all()
        assert field.grid == scan.grid
        assert 0.2 < field.data.min() < field.data.max() < 5

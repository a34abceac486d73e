"""The digital head: what it claims to know about itself is checked by other means."""

from __future__ import annotations

import json
import subprocess
import sys

import numba
import numpy as np
import pytest
from scipy.ndimage import binary_erosion, map_coordinates

from mriprep.core import Grid, InputError, Transform, Volume
from mriprep.engines import load
from mriprep.phantom import (
    CONTRASTS,
    TISSUES,
    head,
    intracranial_volume,
    landmarks,
    template,
    template_brain,
)
from mriprep.phantom.anatomy import GRID, anatomy
from mriprep.phantom.sampling import sample


def at(volume: Volume, points: np.ndarray, order: int = 1) -> np.ndarray:
    index = np.moveaxis(volume.grid.to_index(points), -1, 0)
    return map_coordinates(volume.data.astype(np.float32), index, order=order, cval=0)


def brain_points(n: int, seed: int = 0) -> np.ndarray:
    brain = template_brain(4.0)
    inner = np.argwhere(binary_erosion(brain.data))
    rng = np.random.default_rng(seed)
    index = inner[rng.integers(len(inner), size=n)] + rng.uniform(-0.5, 0.5, (n, 3))
    return brain.grid.to_world(index)


# -- sampling ---------------------------------------------------------------------------------


def test_a_map_is_the_mean_of_linear_samples_over_each_voxel() -> None:
    spacing, parts = np.array([1.3, 0.9, 5.2]), (1, 1, 5)
    turn = Transform.rigid((20, -10, 30))
    affine = np.eye(4)
    affine[:3, :3] = turn.matrix[:3, :3] * spacing
    affine[:3, 3] = (-40, -60, 5)
    grid = Grid((20, 25, 6), affine)
    pose = Transform.rigid((7, 3, -12), (2, -9, 4))
    got = sample("gm", grid, pose)

    offsets = [(np.arange(p) + 0.5) / p - 0.5 for p in parts]
    expected = np.zeros(grid.shape)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    source = anatomy().fractions["gm"].astype(np.float64) / 255
    for shift in np.stack(np.meshgrid(*offsets, indexing="ij"), axis=-1).reshape(-1, 3):
        points = pose.inverse()(grid.to_world(index + shift))
        there = np.moveaxis(GRID.to_index(points), -1, 0)
        expected += map_coordinates(source, there, order=1) / np.prod(parts)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert got.max() > 0.5


@pytest.mark.parametrize("name", ["T1w", "bone", "brain"])
def test_coarse_voxels_hold_the_same_total_as_fine_ones(name: str) -> None:
    pose = Transform.rigid((8, 0, 5))
    totals = []
    for spacing in (1.5, 4.0, 8.0):
        grid = Grid((256, 256, 256), np.diag([1.0, 1, 1, 1])).with_spacing(spacing)
        affine = grid.affine.copy()
        affine[:3, 3] -= grid.center
        totals.append(sample(name, Grid(grid.shape, affine), pose).sum() * grid.voxel_volume)
    np.testing.assert_allclose(totals, totals[0], rtol=5e-3)


def test_fractions_sum_to_at_most_one_and_to_one_inside_the_head() -> None:
    total = sum(f.astype(int) for f in anatomy().fractions.values())
    assert total.max() <= 255 + 4  # rounding of eight bytes
    inside = anatomy().brain == 255
    assert total[inside].min() >= 255 - 4


# -- pose and grid ----------------------------------------------------------------------------


def test_orientations_put_the_same_intensity_at_the_same_place() -> None:
    pose = {"rotation": (4.0, -7.0, 11.0), "translation": (3.0, 8.0, -5.0)}
    settings = {"spacing": 4.0, "noise": 0, "bias": 0.4, "labels": False}
    ras = head(**pose, **settings)
    for code in ("LPS", "PSR", "ial"):
        other = head(**pose, **settings, orientation=code)
        assert other.grid.orientation == code.upper()
        back = other.grid.reoriented("RAS")
        assert back.matches(ras.grid, 1e-6)
        order, flip = other.grid.axes_to("RAS")
        turned = np.flip(other.image.data.transpose(order), np.flatnonzero(flip))
        np.testing.assert_allclose(turned, ras.image.data, atol=0.05)


@pytest.mark.parametrize("age", [None, 4.0])
def test_pose_maps_the_template_onto_the_scan(age: float | None) -> None:
    scan = head(
        spacing=1.0,
        rotation=(10, -4, 7),
        translation=(5, 12, -8),
        age=age,
        noise=0,
        bias=0,
        labels=False,
    )
    still = template(spacing=1.0)
    points = brain_points(4000)
    error = np.abs(at(scan.image, scan.pose(points)) - at(still, points))
    off = Transform.rigid((0, 0, 0), (1, 0, 0)) @ scan.pose
    error_off = np.abs(at(scan.image, off(points)) - at(still, points))
    assert error.mean() < 15  # white matter is 1000
    assert error_off.mean() > 2.5 * error.mean()
    assert scan.pose.is_rigid is (age is None)
    assert scan.pose.moving == scan.grid


def test_landmarks_are_where_they_say() -> None:
    scan = head(
        spacing=2.0, rotation=(0, 0, 15), translation=(20, 0, 5), age=9, noise=0, orientation="LPS"
    )
    assert scan.tissues is not None
    moved = scan.landmarks()

    def label(point: tuple[float, ...]) -> int:
        i, j, k = np.round(scan.grid.to_index(point)).astype(int)
        return int(scan.tissues.data[i, j, k])

    for side in ("left", "right"):
        assert label(moved[f"{side} eye"]) == TISSUES["fluid"]
        assert label(moved[f"{side} ear canal"]) == 0
    ahead, behind = ((0, d, 0) for d in (4, -4))
    nose = np.array(landmarks()["nose tip"])
    assert label(tuple(scan.pose(nose + ahead))) == 0
    assert label(tuple(scan.pose(nose + behind))) != 0
    assert moved["right eye"][0] > moved["left eye"][0]  # right is +x


def test_a_given_pose_and_a_given_grid_are_used() -> None:
    pose = Transform.rigid((0, 12, 0), (0, 0, 10))
    turn = Transform.rigid((25, 0, 0)).matrix.copy()
    turn[:3, :3] *= 5
    turn[:3, 3] = (-90, -80, -120)
    grid = Grid((36, 40, 40), turn)
    oblique = head(pose=pose, grid=grid, noise=0, bias=0, labels=False)
    straight = head(pose=pose, spacing=2, noise=0, bias=0, labels=False)
    assert oblique.grid == grid
    points = pose(brain_points(1000))
    difference = np.abs(at(oblique.image, points) - at(straight.image, points))
    assert difference.mean() < 90
    shifted = np.abs(at(oblique.image, points + np.array([6, 0, 0])) - at(straight.image, points))
    assert shifted.mean() > 1.5 * difference.mean()


def test_the_field_of_view_holds_the_cranium_in_any_pose() -> None:
    for angles in ((0, 0, 0), (25, 0, 0), (0, 25, 0), (10, 10, 40)):
        scan = head(spacing=4, rotation=angles, noise=0, bias=0)
        where = np.argwhere(scan.brain.data)
        assert where.min() > 2  # 12 mm and more of skull and scalp around the brain
        assert (where.max(axis=0) < np.subtract(scan.grid.shape, 3)).all()
        assert abs(scan.truth()["brain_ml"] / head(spacing=4).truth()["brain_ml"] - 1) < 0.01


def test_thick_slices() -> None:
    scan = head("T2w", spacing=(0.9, 0.9, 5.5), labels=False, age=30, noise=0, bias=0)
    np.testing.assert_allclose(scan.grid.spacing, (0.9, 0.9, 5.5))
    thin = head("T2w", spacing=(1.8, 1.8, 1.1), labels=False, age=30, noise=0, bias=0)
    volumes = [float(p.brain.data.sum()) * p.grid.voxel_volume for p in (scan, thin)]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.01)
    sums = [float(p.clean.data.sum()) * p.grid.voxel_volume for p in (scan, thin)]
    assert sums[0] == pytest.approx(sums[1], rel=0.01)


# -- tissues ----------------------------------------------------------------------------------


def test_an_adult_has_plausible_volumes() -> None:
    for age, low, high in ((None, 1700, 1950), (30, 1200, 1600)):
        ml = head(spacing=2, age=age).truth()
        assert low < ml["brain_ml"] < high
        tissue = ml["tissue_ml"]
        whole = tissue["gm"] + tissue["wm"]
        assert 0.55 < tissue["gm"] / whole < 0.68
        assert 0.05 < tissue["csf"] / whole < 0.25
        assert 8 < tissue["fluid"] < 18  # two eyes
        assert tissue["lesion"] == 0


def test_heads_grow() -> None:
    ages = (0.5, 1, 2, 4, 7, 12, 20, 30)
    curve = [intracranial_volume(a) for a in ages]
    assert (np.diff(curve) > 0).all()
    assert intracranial_volume(0.5) == pytest.approx(780, rel=0.05)
    measured = [head(spacing=4, age=a, labels=False).truth()["brain_ml"] for a in ages]
    ratio = np.divide(measured, curve)
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=0.01)


def test_labels_are_the_most_abundant_tissue() -> None:
    scan = head(spacing=4)
    assert scan.tissues is not None
    p = {name: v.data for name, v in scan.probabilities.items()}
    assert set(p) == {"csf", "gm", "wm"}
    for name, data in p.items():
        mine = scan.tissues.data == TISSUES[name]
        others = np.max([p[o] for o in p if o != name], axis=0)
        assert (data[mine] >= others[mine]).all()
        assert (scan.tissues.data[data > 0.51] == TISSUES[name]).all()
    without = head(spacing=4, labels=False)
    assert without.tissues is None
    assert not without.probabilities
    np.testing.assert_array_equal(without.image.data, scan.image.data)


def test_contrasts_order_the_tissues_as_they_should() -> None:
    order = {
        "T1w": ("csf", "gm", "wm"),
        "T2w": ("wm", "gm", "csf"),
        "FLAIR": ("csf", "wm", "gm"),
        "PDw": ("wm", "gm"),
    }
    assert set(order) == set(CONTRASTS)
    for contrast, names in order.items():
        scan = head(contrast, spacing=3, noise=0, bias=0)
        means = [
            scan.image.data[(scan.probabilities[n].data > 0.9) & scan.brain.data].mean()
            for n in names
        ]
        assert (np.diff(means) > 50).all(), (contrast, means)
        white = scan.image.data[scan.probabilities["wm"].data > 0.95]
        assert white.mean() == pytest.approx(1000, rel=0.03)


def test_a_lesion_is_bright_on_flair_and_known() -> None:
    scan = head("FLAIR", spacing=3, lesion=True, noise=0, bias=0)
    plain = head("FLAIR", spacing=3, noise=0, bias=0)
    assert scan.tissues is not None
    inside = scan.tissues.data == TISSUES["lesion"]
    assert 4 < inside.sum() * scan.grid.voxel_volume / 1000 < 16
    assert scan.image.data[inside].mean() > 1.4 * plain.image.data[inside].mean()
    np.testing.assert_array_equal(scan.brain.data, plain.brain.data)
    far = ~binary_erosion(~inside, iterations=4)
    np.testing.assert_array_equal(scan.image.data[~far], plain.image.data[~far])


# -- bias field and noise ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["smooth", "coil", "surface"])
def test_bias_field_is_what_divides_image_and_clean(kind: str) -> None:
    scan = head(spacing=4, noise=0, bias=0.5, bias_kind=kind, labels=False, seed=3)
    inside = scan.brain.data
    ratio = scan.image.data[inside] / scan.clean.data[inside]
    np.testing.assert_allclose(ratio, scan.bias_field.data[inside], rtol=1e-5)
    assert ratio.mean() == pytest.approx(1, abs=1e-4)
    assert np.ptp(ratio) == pytest.approx(0.5, abs=1e-3)
    assert scan.bias_field.data.min() > 0
    if kind == "coil":  # dark in the middle
        deep = binary_erosion(inside, iterations=8)
        assert ratio.mean() > scan.bias_field.data[deep].mean() + 0.03


def test_a_surface_coil_is_bright_at_one_side() -> None:
    fields = [
        head(spacing=4, noise=0, bias=2.0, bias_kind="surface", labels=False, orientation=code)
        for code in ("RAS", "LPI")
    ]
    inside = fields[0].brain.data
    field = fields[0].bias_field.data
    where = np.argwhere(inside)
    weights = field[inside] - field[inside].min()
    towards = np.average(where, axis=0, weights=weights) - where.mean(0)
    along = (where - where.mean(0)) @ (towards / np.linalg.norm(towards))
    assert np.corrcoef(along, np.log(field[inside]))[0, 1] > 0.95
    assert field[inside].max() > 5 * field[inside].min()
    # It is fixed to the scanner, however the array lies.
    np.testing.assert_allclose(field, fields[1].bias_field.data[::-1, ::-1, ::-1], rtol=1e-4)


def test_no_bias_and_no_noise_leave_the_clean_image() -> None:
    scan = head(spacing=4, noise=0, bias=0, labels=False)
    np.testing.assert_array_equal(scan.image.data, scan.clean.data)
    assert (scan.bias_field.data == 1).all()


def test_noise_is_rician() -> None:
    scan = head(spacing=3, noise=0.04, bias=0, labels=False)
    sigma = 0.04 * 1000
    background = scan.image.data[scan.clean.data == 0]
    assert background.mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.01)
    bright = scan.clean.data > 900
    assert (scan.image.data - scan.clean.data)[bright].std() == pytest.approx(sigma, rel=0.03)


# -- the rest ---------------------------------------------------------------------------------


def test_same_seed_same_voxels_other_seed_others() -> None:
    one, same, other = (head(spacing=4, seed=s, labels=False) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.image.data, same.image.data)
    assert (one.image.data != other.image.data).mean() > 0.9
    np.testing.assert_array_equal(one.clean.data, other.clean.data)
    np.testing.assert_array_equal(one.brain.data, other.brain.data)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint16", "uint8"])
def test_types_of_voxels(dtype: str) -> None:
    scan = head("T2w", spacing=8, dtype=dtype, labels=False, seed=5)
    assert scan.image.data.dtype == np.dtype(dtype)
    assert scan.clean.data.dtype == np.float32
    peak = scan.image.data.max()
    white = scan.truth()["white_matter"]
    assert 1.5 * white < peak < 4 * white
    if dtype == "int16":
        exact = head("T2w", spacing=8, labels=False, seed=5).image.data
        np.testing.assert_allclose(scan.image.data, exact, atol=0.501)


def test_truth_is_plain_data() -> None:
    truth = head(spacing=8, age=6, seed=4).truth()
    again = json.loads(json.dumps(truth))
    assert again == truth
    assert truth["seed"] == 4
    assert np.shape(truth["pose_template_to_image_ras_mm"]) == (4, 4)


def test_template_is_the_unposed_head() -> None:
    still, brain = template("T1w", 4.0), template_brain(4.0)
    assert still.grid == brain.grid
    scan = head("T1w", spacing=4, noise=0, bias=0, labels=False)
    np.testing.assert_array_equal(scan.image.data, still.data)
    np.testing.assert_array_equal(scan.pose.matrix, np.eye(4))
    i, j, k = np.round(brain.grid.to_index(landmarks()["anterior commissure"])).astype(int)
    assert brain.data[i, j, k]


@pytest.mark.parametrize(
    "wrong",
    [
        {"contrast": "T1"},
        {"dtype": "complex64"},
        {"age": -1},
        {"age": 200},
        {"noise": -0.1},
        {"noise": 3},
        {"bias": -0.2},
        {"bias_kind": "odd"},
        {"seed": -1},
        {"orientation": "RRS"},
        {"spacing": 0},
        {"pose": Transform.rigid((1, 0, 0)), "rotation": (1, 0, 0)},
    ],
)
def test_wrong_arguments_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        head(**{"spacing": 8, "labels": False, **wrong})


def test_threads_do_not_change_it() -> None:
    many = head(spacing=4, seed=8, lesion=True)
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        one = head(spacing=4, seed=8, lesion=True)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(one.image.data, many.image.data)
    assert one.tissues is not None
    assert many.tissues is not None
    np.testing.assert_array_equal(one.tissues.data, many.tissues.data)


@pytest.mark.slow
@pytest.mark.parametrize("age", [2.0, 30.0])
def test_a_network_that_knows_real_heads_finds_the_brain(age: float) -> None:
    """It was trained on real scans: what surrounds the brain must look like a head."""
    engine = load("brain", "deepbet")
    scan = head("T1w", spacing=1.5, age=age, rotation=(10, 0, 5), labels=False)
    found = engine.probability(scan.image, device="cpu").data > 0.5
    true = scan.brain.data
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.95


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, mriprep.phantom;"
        "print([m for m in ('scipy', 'numba', 'nibabel', 'nilearn', 'pydicom') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Resampling: against ITK on every kind of grid, by analytic truth, and what it must not do."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mriprep.core import (
    Grid,
    InputError,
    MriprepWarning,
    RecipeError,
    Role,
    Transform,
    Volume,
)
from mriprep.steps.resample import resample, target

sitk = pytest.importorskip("SimpleITK")

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
OBLIQUE = Transform.rigid((15, -15, 0)).matrix
ORIENTATIONS = ["RAS", "LAS", "LPS", "PSR", "oblique"]
SPACINGS = [(2.0, 2.0, 2.0), (0.9, 0.9, 5.5)]


def grid_of(orientation, spacing, extent=(44, 48, 40), center=(3, -5, 8)):
    """A grid about `center` with its axes along `orientation`, or turned by 15 degrees about two axes."""
    shape = np.maximum(np.round(np.divide(extent, spacing)), 1).astype(int)
    affine = np.diag([*spacing, 1.0])
    if orientation == "oblique":
        affine = OBLIQUE @ affine
    affine[:3, 3] = center - affine[:3, :3] @ ((shape - 1) / 2)
    grid = Grid(tuple(shape), affine)
    return grid if orientation == "oblique" else grid.reoriented(orientation)


def world(grid):
    return grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))


def smooth(points, waves=((0.11, 0.03, -0.05), (-0.04, 0.13, 0.07))):
    """An intensity that is known everywhere in the world, mm."""
    return 100 + 20 * sum(np.sin(points @ np.asarray(w)) for w in waves)


def image_on(grid, function=smooth, **about):
    return Volume(function(world(grid)).astype(np.float32), grid, **about)


def to_sitk(volume):
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.data.T))
    affine = LPS @ volume.affine
    image.SetOrigin(affine[:3, 3])
    image.SetSpacing(volume.spacing)
    image.SetDirection((affine[:3, :3] / volume.spacing).ravel())
    return image


def by_itk(volume, grid, transform, interpolator):
    """The same by ITK; its transform maps points of the output to points of the input as ours does."""
    matrix = LPS @ transform.matrix @ LPS
    pull = sitk.AffineTransform(matrix[:3, :3].ravel(), matrix[:3, 3])
    reference = to_sitk(Volume(np.zeros(grid.shape, np.uint8), grid))
    done = sitk.Resample(to_sitk(volume), reference, pull, interpolator, 0.0)
    return sitk.GetArrayFromImage(done).T


def noise_on(grid, seed=0):
    return Volume(np.random.default_rng(seed).uniform(0, 100, grid.shape).astype(np.float32), grid)


def share_within(ours, theirs, tolerance):
    return float((np.abs(ours - theirs) <= tolerance).mean())


# -- against ITK ------------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_as_itk_through_a_transform(orientation, spacing):
    image = noise_on(grid_of(orientation, spacing))
    reference = grid_of("RAS", (1.7, 1.9, 2.3), center=(0, 0, 0))
    pose = Transform.rigid((8, -12, 20), (4, -3, 2), reference=reference, moving=image.grid)
    linear = resample(image, pose, antialias=False)
    cubic = resample(image, pose, interpolation="cubic", antialias=False)
    assert linear.grid == reference
    assert linear.data.dtype == cubic.data.dtype == np.float32
    # A point on the very edge of the field of view may round to either side of it.
    theirs = by_itk(image, reference, pose, sitk.sitkLinear)
    assert share_within(linear.data, theirs, 2e-3) > 0.9995
    splines = by_itk(image, reference, pose, sitk.sitkBSpline3)
    # In the half voxel around the outermost centres ITK goes on with the mirrored volume.
    index = image.grid.to_index(pose(world(reference)))
    inside = ((index >= 0) & (index <= np.subtract(image.shape, 1))).all(axis=-1)
    expected = np.clip(splines, image.data.min(), image.data.max())
    assert share_within(cubic.data[inside], expected[inside], 5e-3) > 0.9995
    labels = Volume((image.data / 12).astype(np.int16), image.grid, "labels")
    near = resample(labels, pose, labels="nearest", antialias=False)
    theirs = by_itk(labels, reference, pose, sitk.sitkNearestNeighbor)
    assert share_within(near.data, theirs, 0) > 0.999


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_as_itk_from_grid_to_grid(orientation):
    image = noise_on(grid_of("PSR", (1.1, 2.2, 3.0)))
    grid = grid_of(orientation, (1.5, 1.3, 2.1))
    theirs = by_itk(image, grid, Transform.identity(), sitk.sitkLinear)
    for to in (grid, noise_on(grid)):
        ours = resample(image, to, antialias=False)
        assert ours.grid == grid
        assert share_within(ours.data, theirs, 2e-3) > 0.9995


def test_one_hot_against_linear_interpolation_of_each_label():
    source = grid_of("LPS", (1.3, 1.7, 2.9))
    data = np.random.default_rng(3).choice([0, 4, 5, 17], source.shape).astype(np.int16)
    labels = Volume(data, source, "labels")
    grid = grid_of("oblique", (0.8, 0.9, 1.0), extent=(20, 20, 20))
    weights = {
        n: by_itk(
            Volume((data == n).astype(np.float32), source),
            grid,
            Transform.identity(),
            sitk.sitkLinear,
        )
        for n in (0, 4, 5, 17)
    }
    stacked = np.stack(list(weights.values()))
    expected = np.array(list(weights))[stacked.argmax(axis=0)]
    ranked = np.sort(stacked, axis=0)
    clear = ranked[-1] - ranked[-2] > 1e-4
    assert clear.mean() > 0.99
    assert np.array_equal(resample(labels, grid).data[clear], expected[clear])


# -- by what is known -------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_nothing_moves_in_the_world(orientation, spacing):
    """Off the lattice a linear intensity is exact under linear and cubic interpolation."""

    def ramp(points):
        return 300 + points @ np.array([1.0, -2.0, 3.0])

    image = image_on(grid_of(orientation, spacing), ramp)
    for interpolation in ("linear", "cubic"):
        result = resample(image, spacing=1.3, interpolation=interpolation, antialias=False)
        index = image.grid.to_index(world(result.grid))
        # Cubic splines feel the mirrored border for a few voxels.
        margin = 0 if interpolation == "linear" else min(3, min(image.shape) / 3)
        core = ((index >= margin) & (index <= np.asarray(image.shape) - 1 - margin)).all(axis=-1)
        assert core.sum() > 500
        error = np.abs(result.data - ramp(world(result.grid)))[core].max()
        assert error < (0.01 if interpolation == "linear" else 1.0)


def test_two_transforms_and_one_interpolation():
    native = grid_of("LPS", (1.0, 1.0, 1.0), extent=(50, 50, 50))
    atlas = grid_of("RAS", (1.1, 1.1, 1.1), extent=(20, 22, 18))
    to_middle = Transform.rigid((5, 9, -4), (2, 1, -3), reference=native, moving=native)
    to_atlas = Transform.rigid((-7, 3, 12), (-1, 2, 2), reference=atlas, moving=native)

    def detail(points):
        return 100 + 50 * np.sin(points @ np.array([1.1, 0.5, -0.7]))

    image = image_on(native, detail)
    chain = to_middle @ to_atlas
    once = resample(image, chain)
    truth = detail(to_middle(to_atlas(world(atlas))))
    with pytest.warns(MriprepWarning, match="interpolated before"):
        twice = resample(resample(image, to_middle), to_atlas)
    assert once.grid == twice.grid == atlas
    error, worse = (np.sqrt(np.mean((v.data - truth) ** 2)) for v in (once, twice))
    assert error < 0.75 * worse
    assert error < 6
    assert np.corrcoef(once.data.ravel(), truth.ravel())[0, 1] > 0.995


@pytest.mark.parametrize("role", ["image", "labels", "mask", "probability"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", ">i2"])
def test_permuted_flipped_and_shifted_voxels_are_copied(role, dtype):
    grid = grid_of("oblique", (0.9, 1.2, 5.5))
    high = 2 if role in ("mask", "probability") else 90
    data = np.random.default_rng(0).integers(0, high, grid.shape).astype(dtype)
    volume = Volume(data, grid, role)
    turned = grid.reoriented("SLP")
    copied = resample(volume, turned)
    assert copied.data.dtype == volume.data.dtype
    order, flip = grid.axes_to("SLP")
    expected = np.flip(volume.data.transpose(order), [a for a, f in enumerate(flip) if f])
    assert np.array_equal(copied.data, expected)
    assert not copied.meta.get("interpolated")
    window = resample(volume, grid.window((-3, 2, 1), (12, 9, 4)))
    assert np.array_equal(window.data[3:], volume.data[:9, 2:11, 1:5])
    assert not window.data[:3].any()
    assert window.data.dtype == volume.data.dtype


def test_a_second_interpolation_is_told_a_copy_is_not():
    image = image_on(grid_of("RAS", (2, 2, 2)))
    once = resample(image, spacing=1.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resample(once, once.grid.reoriented("LPS"))
        resample(once, once.grid.window((1, 1, 1), (5, 5, 5)))
        mask = Volume(np.ones(image.shape, bool), image.grid, "mask")
        resample(resample(mask, spacing=1.5), spacing=1.1)
    with pytest.warns(MriprepWarning, match="interpolated before") as seen:
        resample(once, spacing=1.1)
    assert seen[0].filename == __file__


# -- antialiasing -----------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_what_a_coarse_grid_cannot_show_does_not_fold_back(axis):
    """Stripes of 2.6 mm on 4 mm voxels would show as stripes of 7.4 mm that are not there."""
    step = np.eye(3)[axis] * 2 * np.pi / 2.6
    image = image_on(grid_of("LPS", (1, 1, 1)), lambda p: 100 + 50 * np.sin(p @ step))
    spacing = tuple(4.0 if np.isclose(d, 1) else 1.0 for d in np.abs(image.grid.direction[axis]))
    aliased, clean = (resample(image, spacing=spacing, antialias=a).data for a in (False, True))
    inner = tuple(slice(1, -1) if a == axis else slice(None) for a in range(3))
    assert aliased[inner].std() > 10
    assert clean[inner].std() < 0.1
    assert clean.mean() == pytest.approx(image.data.mean(), abs=0.5)


def test_what_a_coarse_grid_can_show_is_kept():
    image = image_on(grid_of("PSR", (1, 1, 1)))
    result = resample(image, spacing=3)
    inner = (slice(2, -2),) * 3
    assert np.allclose(result.data[inner], smooth(world(result.grid))[inner], atol=2.5)
    assert result.data.mean() == pytest.approx(image.data.mean(), rel=0.005)


def test_axes_that_grow_finer_are_not_blurred():
    image = noise_on(grid_of("RAS", (0.9, 0.9, 5.5)))
    with_it, without = (resample(image, spacing=0.9, antialias=a) for a in (True, False))
    assert np.array_equal(with_it.data, without.data)


def test_a_coarse_mask_holds_the_same_volume():
    grid = grid_of("RAS", (0.7, 0.7, 0.7), center=(0, 0, 0))
    mask = Volume(np.linalg.norm(world(grid), axis=-1) < 15, grid, "mask")
    coarse = resample(mask, spacing=3.1)
    before, after = (v.data.sum() * v.grid.voxel_volume for v in (mask, coarse))
    assert after == pytest.approx(before, rel=0.03)


# -- labels -----------------------------------------------------------------------------------


def test_a_voted_sphere_is_smoother_than_nearest():
    coarse = grid_of("RAS", (3, 3, 3), extent=(60, 60, 60), center=(0, 0, 0))
    fine = coarse.with_spacing(1.0)
    inside = np.linalg.norm(world(coarse), axis=-1) < 20
    truth = np.linalg.norm(world(fine), axis=-1) < 20

    def dice(labels):
        result = resample(Volume(inside * 7, coarse, "labels"), fine, labels=labels).data
        assert set(np.unique(result)) == {0, 7}
        return 2 * ((result > 0) & truth).sum() / ((result > 0).sum() + truth.sum())

    assert dice("onehot") > dice("nearest") + 0.01
    assert dice("onehot") > 0.95


def test_roles_decide_how_voxels_are_interpolated():
    grid, fine = grid_of("RAS", (3, 3, 3)), grid_of("oblique", (1.7, 1.7, 1.7))
    rng = np.random.default_rng(1)
    labels = resample(Volume(rng.choice([0, 2, 9], grid.shape), grid, "labels"), fine)
    assert set(np.unique(labels.data)) == {0, 2, 9}
    assert labels.role is Role.LABELS
    mask = resample(Volume(rng.random(grid.shape) > 0.5, grid, "mask"), fine)
    assert mask.data.dtype == bool
    probability = Volume(rng.random(grid.shape), grid, "probability")
    for interpolation in ("linear", "cubic"):
        result = resample(probability, fine, interpolation=interpolation)
        assert result.role is Role.PROBABILITY
        assert result.data.min() >= 0
        assert result.data.max() <= 1


# -- where to ---------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(*[st.integers(1, 300)] * 3),
    st.tuples(*[st.floats(0.2, 8)] * 3),
    st.tuples(*[st.floats(0.2, 8)] * 3),
)
def test_the_field_of_view_is_kept(shape, old, new):
    grid = Grid(shape, OBLIQUE @ np.diag([*old, 1.0]))
    result = target(grid, spacing=new)
    before = np.multiply(shape, old)
    after = np.multiply(result.shape, new)
    assert (after >= before - 2e-3 * np.asarray(new)).all()
    assert (after < before + new).all()
    assert np.allclose(result.center, grid.center)
    assert np.allclose(result.direction, grid.direction)
    assert np.allclose(result.spacing, new)


def test_targets():
    image = image_on(grid_of("LPS", (2, 2, 4)))
    other = image_on(grid_of("RAS", (3, 3, 3)))
    pose = Transform.rigid((5, 0, 0), reference=other.grid, moving=image.grid)
    assert resample(image).spacing == pytest.approx((1, 1, 1))
    assert resample(image, "native", spacing=(2, 2, 2)).spacing == pytest.approx((2, 2, 2))
    assert resample(image, other).grid == other.grid
    assert resample(image, other.grid, spacing=2).spacing == pytest.approx((2, 2, 2))
    assert resample(image, pose).grid == other.grid
    assert resample(image, pose, spacing=2.5).spacing == pytest.approx((2.5, 2.5, 2.5))
    assert resample(image, pose, image).grid == image.grid
    assert resample(image, pose, on=image.grid, spacing=5).spacing == pytest.approx((5, 5, 5))
    assert resample(image, spacing=50).shape == (1, 1, 1)


def test_on_another_grid_of_the_same_world():
    """`on` changes where is sampled, not how the world is mapped."""
    image = image_on(grid_of("LPS", (1.5, 1.5, 1.5)))
    pose = Transform.rigid((5, -8, 3), (2, 1, 4), reference=grid_of("RAS", (4, 4, 4)))
    small = grid_of("PSR", (1, 1, 1), extent=(12, 12, 12))
    result = resample(image, pose, small)
    assert np.allclose(result.data, smooth(pose(world(small))), atol=1)


def test_a_transform_that_knows_no_grid_needs_one():
    image = image_on(grid_of("RAS", (2, 2, 2)))
    with pytest.raises(InputError, match="does not know the grid") as told:
        resample(image, Transform.rigid((1, 2, 3)))
    assert "`on`" in told.value.hint


@pytest.mark.parametrize("spacing", [0, -1, 51, (1, 1), (1, 1, 0), "fine", float("nan")])
def test_spacings_that_make_no_sense(spacing):
    with pytest.raises(RecipeError, match="resample.spacing"):
        resample(image_on(grid_of("RAS", (2, 2, 2))), spacing=spacing)


# -- values -----------------------------------------------------------------------------------


def test_cubic_makes_nothing_that_was_not_there():
    grid = grid_of("RAS", (2, 2, 2))
    data = np.zeros(grid.shape, np.uint16)
    data[5:15, 5:15, 5:15] = 4000
    result = resample(Volume(data, grid), spacing=0.7, interpolation="cubic")
    assert result.data.min() == 0
    assert result.data.max() == 4000


def test_nan_is_told_and_does_not_spread():
    image = image_on(grid_of("RAS", (2, 2, 2)))
    data = image.data.copy()
    data[4, 4, 4] = np.nan
    with pytest.warns(MriprepWarning, match="resample: 1 voxels"):
        result = resample(Volume(data, image.grid), spacing=1.3)
    assert np.isfinite(result.data).all()


def test_outside_the_field_of_view_is_zero():
    image = image_on(grid_of("RAS", (2, 2, 2)))
    away = Transform.rigid(translation=(500, 0, 0), reference=image.grid)
    assert not resample(image, away).data.any()

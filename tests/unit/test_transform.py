"""Transforms: composition, inverses, angles, and what is refused."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mriprep.core import GeometryError, Grid, Transform

POINTS = np.random.default_rng(0).uniform(-100, 100, (50, 3))
A = Transform.rigid((10, -20, 30), (1, 2, 3), (5, 6, 7), reference_name="a", moving_name="b")
B = Transform(
    np.array([[1.1, 0.1, 0, 4], [0, 0.9, 0, 5], [0.2, 0, 1, 6], [0, 0, 0, 1]]),
    reference_name="b",
    moving_name="c",
)


def test_rigid_is_scipys_rotation_about_the_centre():
    rotation = Rotation.from_euler("xyz", (10, -20, 30), degrees=True)
    expected = rotation.apply(POINTS - (5, 6, 7)) + np.array((6, 8, 10))
    assert np.allclose(A(POINTS), expected)
    assert A.is_rigid
    assert A.angle == pytest.approx(np.degrees(rotation.magnitude()))
    assert np.allclose(A((5, 6, 7)), (6, 8, 10))


def test_composition_is_the_first_then_the_second():
    both = B @ A
    assert np.allclose(both(POINTS), B(A(POINTS)))
    assert (both.reference_name, both.moving_name) == ("a", "c")
    assert not np.allclose(both(POINTS), A(B(POINTS)))
    with pytest.raises(TypeError):
        A @ 3


def test_composition_keeps_the_outer_grids():
    g = [Grid((n, n, n), np.eye(4)) for n in (2, 3, 4)]
    first, second = Transform(np.eye(4), g[0], g[1]), Transform(np.eye(4), g[1], g[2])
    both = second @ first
    assert (both.reference, both.moving) == (g[0], g[2])
    back = both.inverse()
    assert (back.reference, back.moving) == (g[2], g[0])


@pytest.mark.parametrize("transform", [A, B, B @ A])
def test_the_inverse_leads_back(transform):
    back = transform.inverse()
    assert np.allclose(back(transform(POINTS)), POINTS)
    assert (back.reference_name, back.moving_name) == (
        transform.moving_name,
        transform.reference_name,
    )


def test_points_of_any_shape():
    assert A(POINTS[0]).shape == (3,)
    assert A(POINTS.reshape(5, 10, 3)).shape == (5, 10, 3)
    assert np.allclose(A(POINTS.reshape(5, 10, 3)).reshape(-1, 3), A(POINTS))


def test_distance_and_scales():
    shifted = Transform.rigid(translation=(3, 4, 0))
    assert shifted.distance(Transform.identity(), POINTS) == pytest.approx(5)
    assert Transform(np.diag([3, 1, 2, 1])).scales == pytest.approx((3, 2, 1))
    assert shifted.angle == pytest.approx(0)


def test_what_is_rigid():
    assert not B.is_rigid
    assert not Transform(np.diag([-1.0, 1, 1, 1])).is_rigid  # a mirror
    assert not Transform(np.diag([1.001, 1, 1, 1])).is_rigid


def test_angle_of_a_scaled_rotation_is_the_rotations():
    turned = A.matrix @ np.diag([1.2, 1.2, 1.2, 1])
    assert Transform(turned).angle == pytest.approx(A.angle)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.diag([1.0, 1, 0, 1]), "cannot be inverted"),
        (np.ones((4, 4)), "last row"),
        (np.eye(3), "4x4"),
        (np.full((4, 4), np.nan), "NaN"),
        ([[1, 2], [3]], "4x4"),
        ("abc", "4x4"),
    ],
)
def test_bad_matrices_are_refused(matrix, message):
    with pytest.raises(GeometryError, match=message):
        Transform(matrix)


def test_the_matrix_is_a_copy_and_cannot_be_changed():
    matrix = np.eye(4)
    transform = Transform(matrix)
    matrix[0, 3] = 9
    assert np.array_equal(transform.matrix, np.eye(4))
    with pytest.raises(ValueError, match="read-only"):
        transform.matrix[0, 3] = 9


@pytest.mark.parametrize("through", [lambda t: pickle.loads(pickle.dumps(t)), copy.deepcopy])
def test_pickles(through):
    transform = Transform(A.matrix, Grid((2, 3, 4), np.eye(4)), None, "a", "b", {"engine": "x"})
    back = through(transform)
    assert np.array_equal(back.matrix, transform.matrix)
    assert back.reference == transform.reference
    assert back.meta == {"engine": "x"}
    assert (back.reference_name, back.moving_name) == ("a", "b")


def test_says_what_it_is():
    assert repr(A).startswith("<Transform rigid a -> b,")
    assert "affine" in repr(B)

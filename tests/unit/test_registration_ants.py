"""ANTs as an engine: a known pose, a start, the same answer twice, nothing left behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

from mriprep import engines
from mriprep.core import Transform
from mriprep.phantom import head, template, template_brain

pytest.importorskip("ants", reason="the extra 'ants' is not installed")


@pytest.fixture(scope="module")
def fixed():
    return template(spacing=4)


@pytest.fixture(scope="module")
def points():
    mask = template_brain(4)
    return mask.grid.to_world(np.argwhere(mask.data)[::40])


def estimate(*images, **options):
    return engines.load("registration", "ants").estimate(*images, **options)


@pytest.mark.parametrize("orientation", ["RAS", "LPS"])
def test_a_known_pose_is_found_twice_alike(fixed, points, orientation, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    truth = head(spacing=4, orientation=orientation, rotation=(8, -5, 10), translation=(6, 4, -5),
                 labels=False, seed=4)  # fmt: skip
    found = estimate(fixed, truth.image)
    assert found.distance(truth.pose, points) < 0.8
    assert found.is_rigid
    assert (found.reference, found.moving) == (fixed.grid, truth.grid)
    assert np.array_equal(found.matrix, estimate(fixed, truth.image).matrix)
    assert not list(Path(tmp_path).iterdir())


def test_a_start_is_honoured(fixed, points):
    truth = head(spacing=4, rotation=(0, 0, 150), translation=(30, 0, 0), labels=False, seed=4)
    near = Transform.rigid((3, 2, 3), (2, -2, 2)) @ truth.pose
    assert estimate(fixed, truth.image, start=near).distance(truth.pose, points) < 0.8
    assert estimate(fixed, truth.image).distance(truth.pose, points) > 10


def test_twelve_degrees_of_freedom(fixed, points):
    truth = head(spacing=4, age=6.0, rotation=(4, 3, -6), labels=False, seed=4)
    found = estimate(fixed, truth.image, model="affine", start=Transform.rigid((3, 2, -5)))
    assert found.distance(truth.pose, points) < 1.0
    assert found.scales == pytest.approx(truth.pose.scales, rel=0.03)

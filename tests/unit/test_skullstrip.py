"""Brain extraction: against the digital head's truth and a real scan, and what is made of an engine's answer."""

from __future__ import annotations

import functools
import types
import warnings

import numpy as np
import pytest

from mriprep import engines
from mriprep.core import (
    DoubtWarning,
    EngineError,
    EngineMissing,
    Grid,
    InputError,
    MriprepWarning,
    Role,
    Volume,
)
from mriprep.declare import keeping
from mriprep.engines.brain import deepbet
from mriprep.io.images import read_image
from mriprep.phantom import head
from mriprep.steps import _brain
from mriprep.steps._brain_trust import BrainTrust
from mriprep.steps.reorient import reorient
from mriprep.steps.resample import resample
from mriprep.steps.skullstrip import skullstrip


@functools.cache
def scan(spacing=3.0):
    return head(spacing=spacing, rotation=(6, -4, 9), labels=False, dtype="int16")


@functools.cache
def found():
    return skullstrip(scan().image)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


# -- the network ------------------------------------------------------------------------------


def test_the_phantoms_brain_is_found():
    mask = found()
    assert mask.role is Role.MASK
    assert mask.grid == scan().grid
    assert dice(mask.data, scan().brain.data) > 0.97


@pytest.mark.parametrize("orientation", ["LPS", "PSR"])
def test_storage_does_not_matter(orientation):
    turned = skullstrip(reorient(scan().image, to=orientation))
    assert turned.grid.orientation == orientation
    assert np.array_equal(reorient(turned, to="RAS").data, found().data)


def test_a_real_scan(data):
    folder = data / "nifti" / "ixi012"
    image = read_image(folder / "T1w.nii.gz")
    truth = read_image(folder / "dlmuse.nii.gz", role="mask")
    with warnings.catch_warnings():
        warnings.simplefilter("error", MriprepWarning)
        mask = skullstrip(image)
    assert dice(mask.data, resample(truth, mask).data) > 0.95


def test_a_missing_gpu_and_missing_weights_are_told(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineMissing, match="no GPU") as told:
        skullstrip(scan().image, device="cuda")
    assert "device=auto" in told.value.hint
    monkeypatch.setattr(deepbet.importlib.metadata, "files", lambda name: [])
    with pytest.raises(EngineMissing, match=r"weights 'model\.pt'") as told:
        deepbet._weights("model")
    assert "pip install" in told.value.hint


def test_what_is_no_head_is_told():
    """Of noise the network makes something; it must not pass for a brain."""
    rng = np.random.default_rng(0)
    noise = Volume(rng.normal(100, 5, (40, 40, 40)).astype(np.float32), np.diag([5, 5, 5, 1.0]))
    with pytest.warns(DoubtWarning, match="doubtful") as seen:
        skullstrip(noise, engine="deepbet")
    assert seen[-1].filename == __file__


@pytest.mark.parametrize("value", [0, 300])
def test_an_empty_image_is_refused_before_any_network_runs(value):
    with pytest.raises(InputError, match="skullstrip: the image is constant"):
        skullstrip(Volume(np.full((20, 20, 20), value, np.int16), np.eye(4)))


# -- what is made of an engine's answer -------------------------------------------------------

GRID = Grid((70, 72, 28), np.diag([2.0, 2.0, 5.0, 1.0]))
DISTANCE = np.linalg.norm(
    GRID.to_world(np.moveaxis(np.indices(GRID.shape), 0, -1)) - GRID.center, axis=-1
)
NOISE = np.random.default_rng(0).integers(0, 20, GRID.shape)
IMAGE = Volume(
    (np.where(DISTANCE < 65, 500, 10) + NOISE + 90 * (DISTANCE < 30)).astype(np.int16), GRID
)
RADIUS = 45.0


@pytest.fixture
def answer(monkeypatch):
    """Let an engine answer with a probability map, and trust it: balls are no brains."""

    def trusting(coarse, mask, grid, age=None, probability=None):
        return BrainTrust(
            1.0, {"touch": 0.0}, mask.sum() * grid.voxel_volume / 1000, (300, 2100), 0.0, ""
        )

    def let(probability):
        engine = types.SimpleNamespace(
            probability=lambda image, device: image.replace(
                probability.astype(np.float32), role="probability"
            )
        )
        monkeypatch.setattr(engines, "load", lambda kind, name: engine)
        monkeypatch.setattr(_brain, "judge", trusting)

    return let


def ball(radius=RADIUS):
    return radius > DISTANCE


def test_no_brain_is_an_error(answer):
    answer(0.4 * ball())
    with pytest.raises(EngineError, match="no brain was found") as told:
        skullstrip(IMAGE)
    assert "head" in told.value.hint


def test_one_piece_without_holes(answer):
    probability = 0.9 * ball()
    probability[35, 36, 14] = probability[30:33, 36, 12:14] = 0.2
    probability[2:6, 3:6, 2:4] = 1.0
    answer(probability)
    assert np.array_equal(skullstrip(IMAGE).data, ball())


def test_a_hole_at_the_border_of_the_volume_is_filled_as_little_as_air(answer):
    probability = 1.0 * ball(200)
    probability[:, :, :3] = 0
    answer(probability)
    assert not skullstrip(IMAGE).data[:, :, :3].any()


def test_the_threshold(answer):
    answer(np.clip(1 - DISTANCE / 100, 0, 1))
    volumes = [skullstrip(IMAGE, threshold=t).data.sum() for t in (0.45, 0.5, 0.6)]
    assert volumes == [int((100 * (1 - t) > DISTANCE).sum()) for t in (0.45, 0.5, 0.6)]


@pytest.mark.parametrize("border", [-10.0, -4.0, 0.0, 3.0, 10.0])
def test_the_border_moves_the_surface_in_millimetres(answer, border):
    answer(1.0 * ball())
    mask = skullstrip(IMAGE, border=border)
    volume = mask.data.sum() * GRID.voxel_volume
    radius = (3 * volume / 4 / np.pi) ** (1 / 3)
    # Distances run between centres of voxels: the surface is known to half a voxel.
    assert radius == pytest.approx(RADIUS + border, abs=1.3)


def test_what_lies_beyond_the_volume_does_not_erode(answer):
    answer(np.ones(GRID.shape))
    assert skullstrip(IMAGE, border=-10).data.all()


def test_nothing_left_is_an_error(answer):
    answer(1.0 * ball(7))
    with pytest.raises(EngineError, match="within a border of -10 mm") as told:
        skullstrip(IMAGE, border=-10)
    assert told.value.hint


def test_shrunk_into_two_it_is_one_piece(answer):
    two = np.zeros(GRID.shape)
    two[5:35, 20:44, 4:20] = two[39:55, 20:44, 4:20] = 1
    two[35:39, 30:33, 10:12] = 1  # a bridge
    answer(two)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MriprepWarning)
        mask = skullstrip(IMAGE, border=-6).data
    assert mask[20, 32, 12]
    assert not mask[39:].any()


def test_the_volume_is_on_record(answer):
    answer(1.0 * ball())
    with keeping() as kept:
        mask = skullstrip(IMAGE, border=3)
    assert kept["brain_volume_ml"] == pytest.approx(mask.data.sum() * 0.02, abs=0.06)


def test_the_image_without_the_rest(answer):
    answer(1.0 * ball())
    with keeping() as kept:
        result = skullstrip(IMAGE, output="image")
    assert result.role is Role.IMAGE
    assert result.data.dtype == np.int16
    assert np.array_equal(result.data, np.where(ball(), IMAGE.data, 0))
    assert np.array_equal(kept["mask"].data, ball())


def test_nan_within_the_brain_is_not_handed_on(answer):
    answer(1.0 * ball())
    data = IMAGE.data.astype(np.float32)
    data[35, 36, 14] = np.nan
    with pytest.warns(MriprepWarning, match="1 voxels"):
        result = skullstrip(IMAGE.replace(data), output="image")
    assert np.isfinite(result.data).all()

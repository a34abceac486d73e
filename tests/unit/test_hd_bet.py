"""HD-BET's engine: nnU-Net's own predictor, on a tiny network that the test makes."""

from __future__ import annotations

import multiprocessing.process
import os
import subprocess

import nnunet_checkpoint as tiny
import numpy as np
import pytest

from mriprep import engines
from mriprep.core import EngineError, EngineMissing, Grid, InputError, MriprepWarning, Role, Volume
from mriprep.engines import _device
from mriprep.engines.brain import hd_bet
from mriprep.steps.reorient import reorient

pytest.importorskip("nnunetv2", reason="the extra 'hd-bet' is not installed")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return tiny.make(tmp_path_factory.mktemp("weights") / "hd-bet")


def grid(shape, spacing, degrees=0.0):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag(spacing)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2) + (3, -2, 1)
    return Grid(shape, affine)


def ball(where, radius=14.0, middle=(9.0, 4.0, -3.0)):
    """A bright ball that is not in the middle, blurred as scans are, and where it is."""
    index = np.moveaxis(np.indices(where.shape), 0, -1)
    distance = np.linalg.norm(where.to_world(index) - middle, axis=-1)
    values = 100 + 300 / (1 + np.exp((distance - radius) / 0.7))
    return Volume(values.astype(np.float32), where), distance < radius


def expected(image):
    z = (image.data - image.data.mean(dtype=np.float64)) / image.data.std(dtype=np.float64)
    return 1 / (1 + np.exp(-tiny.STEEPNESS * (z - tiny.THRESHOLD)))


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_on_the_networks_own_spacing_it_gives_what_the_network_gives(weights):
    image, _ = ball(grid((26, 28, 24), (2, 2, 2)))
    found = hd_bet.probability(image, device="cpu", weights=weights)
    assert found.role is Role.PROBABILITY
    assert found.data.dtype == np.float32
    assert found.grid == image.grid
    # nnU-Net adds up its tiles in half precision.
    assert np.abs(found.data - expected(image)).max() < 5e-3


@pytest.mark.parametrize(
    ("shape", "spacing", "degrees"),
    [
        ((36, 30, 20), (1.4, 1.7, 2.6), 20.0),
        ((52, 52, 9), (1, 1, 6), 0.0),
        ((9, 11, 8), (5, 5, 5), 0),
    ],
)
def test_any_grid_in_the_same_grid_out(weights, shape, spacing, degrees):
    image, truth = ball(grid(shape, spacing, degrees))
    found = hd_bet.probability(image, device="cpu", weights=weights)
    assert found.grid == image.grid
    assert dice(found.data > 0.5, truth) > 0.93
    for orientation in ("LPS", "PSR"):
        stored = reorient(image, to=orientation)
        turned = hd_bet.probability(stored, device="cpu", weights=weights)
        assert turned.grid == stored.grid
        assert np.array_equal(reorient(turned, to="RAS").data, found.data)


def test_integers_and_a_margin_of_zeros(weights):
    image, _ = ball(grid((26, 28, 24), (2, 2, 2)))
    padded = np.zeros((34, 30, 31), np.int16)
    padded[5:31, 1:29, 4:28] = image.data
    where = Grid(padded.shape, image.grid.window((-5, -1, -4), padded.shape).affine)
    found = hd_bet.probability(Volume(padded, where), device="cpu", weights=weights)
    without = hd_bet.probability(image, device="cpu", weights=weights)
    assert np.abs(found.data[5:31, 1:29, 4:28] - without.data).max() < 0.05
    assert not found.data[:5].any()


def test_mirroring_averages_a_networks_two_sides(tmp_path):
    """It looks one voxel to one side; with its mirror images, to both."""
    folder = tiny.make(tmp_path, shift=1)
    image, _ = ball(grid((16, 24, 16), (2, 2, 2)), 9.0, (4.0, 1.0, 2.0))  # one tile
    plain, mirrored = (
        hd_bet.probability(image, device="cpu", weights=folder, mirror=m).data
        for m in (False, True)
    )
    logit = np.log(expected(image) / (1 - expected(image)))
    inner = (slice(2, -2),) * 3
    one, other = np.roll(logit, -1, 0), np.roll(logit, 1, 0)  # its last axis is x
    assert np.abs(plain - 1 / (1 + np.exp(-one)))[inner].max() < 0.01
    assert np.abs(mirrored - 1 / (1 + np.exp(-(one + other) / 2)))[inner].max() < 0.01
    assert np.abs(plain - mirrored).max() > 0.2


def test_nothing_is_started_written_said_or_left_changed(weights, tmp_path, monkeypatch, capfd):
    import torch

    def refused(*_, **__):
        raise AssertionError("a process was started")

    image, _ = ball(grid((26, 28, 24), (2, 2, 2)))
    before = image.data.copy()
    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", refused)
    monkeypatch.setattr(subprocess.Popen, "__init__", refused)
    monkeypatch.setattr(os, "fork", refused, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    threads, files = torch.get_num_threads(), sorted(weights.rglob("*"))
    tiny.make(tmp_path / "new")  # not yet loaded
    left = sorted(tmp_path.rglob("*"))
    hd_bet.probability(image, device="cpu", weights=tmp_path / "new")
    assert (torch.get_num_threads(), torch.backends.cudnn.benchmark) == (threads, False)
    assert sorted(tmp_path.rglob("*")) == left
    assert sorted(weights.rglob("*")) == files
    assert capfd.readouterr().out == ""
    assert np.array_equal(image.data, before)


def test_without_gpu_memory_the_cpu_is_used_and_it_is_said(weights, monkeypatch):
    import torch

    from mriprep.engines.brain import _nnunet

    real = _nnunet.foreground

    def full(*given, device, **rest):
        if device == "cuda":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return real(*given, device=device, **rest)

    monkeypatch.setattr(_nnunet, "foreground", full)
    monkeypatch.setattr(_device, "on_gpu", lambda device: True)
    image, truth = ball(grid((26, 28, 24), (2, 2, 2)))
    with pytest.warns(MriprepWarning, match="hd-bet: there is not enough memory to run on the GPU"):
        found = hd_bet.probability(image, weights=weights)
    assert dice(found.data > 0.5, truth) > 0.95


def test_weights_that_are_not_there_are_told(tmp_path, monkeypatch):
    image, _ = ball(grid((12, 12, 12), (4, 4, 4)))
    monkeypatch.setenv("MRIPREP_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(EngineMissing, match="'hd-bet' are not on this machine") as told:
        hd_bet.probability(image, device="cpu")
    assert "https://" in told.value.hint
    assert "mriprep fetch hd-bet" in told.value.hint
    with pytest.raises(InputError, match="does not hold the weights 'hd-bet'"):
        hd_bet.probability(image, device="cpu", weights=tmp_path)
    tiny.make(tmp_path / "hd-bet")
    assert hd_bet.probability(image, device="cpu").grid == image.grid


class Evil:
    ran = False

    def __reduce__(self):
        return (setattr, (Evil, "ran", True))


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    tiny.save(tmp_path, {"network_weights": {}, "logging": Evil()})
    image, _ = ball(grid((12, 12, 12), (4, 4, 4)))
    with pytest.raises(EngineError, match="would run code") as told:
        hd_bet.probability(image, device="cpu", weights=tmp_path)
    assert not Evil.ran
    assert "where they are published" in told.value.hint


@pytest.mark.parametrize(
    "architecture",
    [
        {"network_class_name": "subprocess.Popen"},
        {"_kw_requires_import": ["conv_op", "nonlin_kwargs"]},
    ],
)
def test_plans_that_name_other_code_are_refused(tmp_path, architecture):
    tiny.make(tmp_path)
    tiny.save(tmp_path, plans=tiny.changed_plans(**architecture))
    image, _ = ball(grid((12, 12, 12), (4, 4, 4)))
    with pytest.raises(EngineError, match="not a part of nnU-Net's networks"):
        hd_bet.probability(image, device="cpu", weights=tmp_path)


def damaged(folder):
    file = folder / "fold_all" / "checkpoint_final.pth"
    file.write_bytes(file.read_bytes()[:-2000])


def garbage(folder):
    (folder / "fold_all" / "checkpoint_final.pth").write_bytes(b"<html>not found</html>")


def another(folder):
    tiny.save(folder, {"state_dict": {}})


def no_json(folder):
    (folder / "plans.json").write_text("{")


def other_task(folder):
    tiny.save(folder, dataset={**tiny.DATASET, "labels": {"background": 0, "a": 1, "b": 2}})


def other_plans(folder):
    plans = tiny.changed_plans()
    plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]["features_per_stage"] = [
        3,
        5,
    ]
    tiny.save(folder, plans=plans)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (damaged, "cannot be read: it is damaged"),
        (garbage, "cannot be read: it is damaged"),
        (another, "is not a checkpoint of nnU-Net"),
        (no_json, r"plans\.json of the weights cannot be read"),
        (other_task, "tells 3 classes apart"),
        (other_plans, "do not fit each other"),
    ],
)
def test_damaged_weights_are_told(tmp_path, spoil, said):
    spoil(tiny.make(tmp_path))
    image, _ = ball(grid((12, 12, 12), (4, 4, 4)))
    with pytest.raises(EngineError, match=said):
        hd_bet.probability(image, device="cpu", weights=tmp_path)


def test_a_constant_image_is_told(weights):
    with pytest.raises(EngineError, match="no contrast"):
        hd_bet.probability(
            Volume(np.full((9, 9, 9), 7, np.int16), np.eye(4)), device="cpu", weights=weights
        )


def test_it_is_declared():
    engine = engines.describe("brain", "hd-bet")
    assert engine.weights == "hd-bet"
    assert "FLAIR" in engine.contrasts
    assert engines.load("brain", "hd-bet") is hd_bet

"""SynthStrip: the published layout, a checkpoint whose answer is known, and checkpoints that are refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from mriprep.core import EngineError, EngineMissing, Grid, Volume
from mriprep.engines.brain import synthstrip

torch = pytest.importorskip("torch")

from mriprep.engines.brain._strip_net import StripNet  # noqa: E402 (needs torch)

pytestmark = pytest.mark.filterwarnings("ignore:.*weights of your own:mriprep.core.MriprepWarning")

#: Inputs and outputs of the convolutions of the published checkpoint, in its order.
PUBLISHED = {
    "encoder.0": [(1, 16), (16, 16)], "encoder.1": [(16, 32), (32, 32)],
    "encoder.2": [(32, 64), (64, 64)], "encoder.3": [(64, 64), (64, 64)],
    "encoder.4": [(64, 64), (64, 64)], "encoder.5": [(64, 64), (64, 64)],
    "decoder.0": [(64, 64), (64, 64)], "decoder.1": [(128, 64), (64, 64)],
    "decoder.2": [(128, 64), (64, 64)], "decoder.3": [(128, 64), (64, 64)],
    "decoder.4": [(128, 64), (64, 64)], "decoder.5": [(96, 32), (32, 32)],
    "remaining": [(48, 16), (16, 16), (16, 1)],
}  # fmt: skip


def known(slope=4.0, at=3.0):
    """Weights by which the distance is ``at - slope * intensity``: the finest skip, handed on."""
    state = {k: torch.zeros_like(v) for k, v in StripNet().state_dict().items()}
    for name, channel in (("encoder.0.0", 0), ("encoder.0.1", 0), ("remaining.0", 32),
                          ("remaining.1", 0)):  # fmt: skip
        state[f"{name}.conv.weight"][0, channel, 1, 1, 1] = 1
    state["remaining.2.conv.weight"][0, 0, 1, 1, 1] = -slope
    state["remaining.2.conv.bias"][0] = at
    return state


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "own.pt"
    torch.save({"model_state_dict": known()}, path)
    return path


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(synthstrip, "_LEAST", 64)


def ball(orientation="RAS", spacing=(1.0, 1.0, 1.0), tilt=0.0):
    """A ball whose brightness falls from its centre."""
    shape = tuple(int(np.ceil(48 / s)) for s in spacing)
    c, s = np.cos(tilt), np.sin(tilt)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) * spacing
    affine[:3, 3] = (5, -9, 30)
    grid = Grid(shape, affine).reoriented(orientation)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    away = np.linalg.norm(grid.to_world(index) - grid.center, axis=-1)
    return Volume((100 * np.clip(1 - away / 20, 0, None)).astype(np.float32), grid)


def test_names_and_shapes_are_those_of_the_published_checkpoint():
    expected = {}
    for level, pairs in PUBLISHED.items():
        for number, (inputs, outputs) in enumerate(pairs):
            expected[f"{level}.{number}.conv.weight"] = (outputs, inputs, 3, 3, 3)
            expected[f"{level}.{number}.conv.bias"] = (outputs,)
    state = StripNet().state_dict()
    assert {k: tuple(v.shape) for k, v in state.items()} == expected
    assert list(state) == list(expected)
    assert sum(v.numel() for v in state.values()) == 2_566_561


def test_the_deepest_level_reaches_the_answer():
    torch.manual_seed(0)
    network = StripNet().eval()
    for module in network.modules():  # signals that do not fade on their way
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.kaiming_normal_(module.weight, a=0.2)
    x = torch.rand(1, 1, 64, 64, 64)
    with torch.no_grad():
        before = network(x)
        network.encoder[5][1].conv.bias += 10
        after = network(x)
    assert before.shape == after.shape == x.shape
    assert (before != after).float().mean() > 0.99


def test_half_is_exactly_at_the_border(checkpoint):
    image = ball()
    found = synthstrip.probability(image, device="cpu", weights=checkpoint)
    assert found.grid == image.grid
    assert (found.role, found.data.dtype) == ("probability", np.float32)
    # Sizes as the network gets them: the percentile is that of the padded volume.
    padded = np.zeros(64**3, np.float32)
    padded[: image.data.size] = image.data.ravel()
    bright = np.clip(image.data / np.percentile(padded, 99), 0, 1)
    expected = 1 / (1 + np.exp(((3 - 4 * bright) - 1) / 0.5))
    np.testing.assert_allclose(found.data, expected, atol=2e-3)
    np.testing.assert_array_equal(found.data > 0.5, 3 - 4 * bright < 1)


@pytest.mark.parametrize(
    ("orientation", "spacing", "tilt"),
    [("LPS", (1, 1, 1), 0), ("PIR", (1, 1, 3), 0), ("RAS", (2, 0.6, 1.5), 0.3)],
)
def test_any_grid_gives_the_same_ball(checkpoint, orientation, spacing, tilt):
    image = ball(orientation, spacing, tilt)
    found = synthstrip.probability(image, device="cpu", weights=checkpoint)
    assert found.grid == image.grid
    inside = found.data > 0.5
    index = np.argwhere(inside)
    assert np.linalg.norm(image.grid.to_world(index).mean(0) - image.grid.center) < 0.5
    usual = synthstrip.probability(ball(), device="cpu", weights=checkpoint).data > 0.5
    assert inside.sum() * image.grid.voxel_volume == pytest.approx(usual.sum(), rel=0.12)


def test_integers_and_offsets_are_fine(checkpoint):
    image = ball()
    whole = image.replace(np.round(image.data).astype(np.int16))
    lower = image.replace(np.round(image.data).astype(np.int16) - 500)
    one, two = (
        synthstrip.probability(i, device="cpu", weights=checkpoint).data for i in (whole, lower)
    )
    np.testing.assert_allclose(one, two, atol=1e-5)


def test_beyond_what_the_network_sees_is_no_brain(checkpoint, monkeypatch):
    monkeypatch.setattr(synthstrip, "_MOST", 64)
    wide = np.full((90, 40, 40), 50, np.float32)
    wide[0, 0, 0] = 0
    found = synthstrip.probability(Volume(wide, np.eye(4)), device="cpu", weights=checkpoint).data
    assert found[:12].max() < 0.01
    assert found[30:60].min() > 0.5


def test_a_constant_image_has_no_head(checkpoint):
    image = ball()
    with pytest.raises(EngineError, match="sees no contrast"):
        synthstrip.probability(image.replace(np.ones(image.shape)), weights=checkpoint)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    path, trace = tmp_path / "evil.pt", tmp_path / "trace"
    for save in (torch.save, lambda o, p: p.write_bytes(pickle.dumps(o))):
        save({"model_state_dict": known(), "more": Evil(trace)}, path)
        with pytest.raises(EngineError, match=r"more than weights|damaged"):
            synthstrip.probability(ball(), weights=path)
        assert not trace.exists()


def spoilt(tmp_path, what):
    path = tmp_path / "bad.pt"
    state = known()
    if what == "empty":
        path.write_bytes(b"")
    elif what == "text":
        path.write_text("<html>not found</html>")
    elif what == "cut":
        torch.save({"model_state_dict": state}, path)
        path.write_bytes(path.read_bytes()[:-5000])
    elif what == "bare":
        torch.save(state, path)
    elif what == "list":
        torch.save([1, 2], path)
    elif what == "missing":
        del state["decoder.3.1.conv.bias"]
        torch.save({"model_state_dict": state}, path)
    elif what == "shape":
        state["remaining.0.conv.weight"] = torch.zeros(16, 64, 3, 3, 3)
        torch.save({"model_state_dict": state}, path)
    elif what == "nan":
        state["remaining.0.conv.bias"][3] = torch.nan
        torch.save({"model_state_dict": state}, path)
    return path


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("empty", "damaged"), ("text", "damaged"), ("cut", "damaged"), ("bare", "not a checkpoint"),
        ("list", "not a checkpoint"), ("missing", r"'decoder.3.1.conv.bias'.*missing"),
        ("shape", r"'remaining.0.conv.weight' should be \(16, 48"), ("nan", "NaN"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told(tmp_path, what, told):
    with pytest.raises(EngineError, match=told) as error:
        synthstrip.probability(ball(), weights=spoilt(tmp_path, what))
    assert "mriprep fetch synthstrip" in error.value.hint


def test_a_file_that_would_fill_the_memory_is_refused(tmp_path, checkpoint, monkeypatch):
    monkeypatch.setattr(synthstrip, "_LARGEST", 10**6)
    with pytest.raises(EngineError, match="not a checkpoint"):
        synthstrip.probability(ball(), weights=checkpoint)


def test_missing_weights_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("MRIPREP_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(EngineMissing, match="'synthstrip' are not on this machine") as error:
        synthstrip.probability(ball())
    assert str(tmp_path / "synthstrip" / "synthstrip.1.pt") in error.value.hint

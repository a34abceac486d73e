"""MindGrab: the reader of its files, its layers against torch's own, and its geometry."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from mriprep.core import EngineError, EngineMissing, Grid, Volume
from mriprep.engines.brain import _conform, _tfjs, mindgrab
from mriprep.phantom import head

torch = pytest.importorskip("torch")
functional = torch.nn.functional


def conv(name, inputs, outputs, size=3, dilation=1, **more):
    return {"class_name": "Conv3D", "config": {
        "name": name, "filters": outputs, "kernel_size": [size] * 3, "strides": [1, 1, 1],
        "dilation_rate": [dilation] * 3, "padding": "same", "data_format": "channels_last",
        "activation": "linear", "use_bias": True, **more}}  # fmt: skip


def act(name, kind):
    return {"class_name": "Activation", "config": {"name": name, "activation": kind}}


def write(folder, layers, weights, quantised=()):
    """A model.json and its shards; weights by name."""
    manifest, raw = [], b""
    for name, values in weights.items():
        told = {"name": name, "shape": list(values.shape), "dtype": "float32"}
        if name in quantised:
            kind = quantised[name]
            told["quantization"] = {"dtype": kind}
            if kind.startswith("uint"):
                low, top = float(values.min()), np.iinfo(kind).max
                scale = float(np.ptp(values)) / top
                told["quantization"] |= {"min": low, "scale": scale}
                values = np.round((values - low) / scale)
            raw += values.astype(kind).tobytes()
        else:
            raw += values.astype("<f4").tobytes()
        manifest.append(told)
    at = len(raw) // 3
    (folder / "a.bin").write_bytes(raw[:at])
    (folder / "b.bin").write_bytes(raw[at:])
    model = {
        "modelTopology": {
            "model_config": {"class_name": "Functional", "config": {"layers": layers}}
        },
        "weightsManifest": [{"paths": ["a.bin", "b.bin"], "weights": manifest}],
    }
    (folder / "model.json").write_text(json.dumps(model))
    return folder / "model.json"


@pytest.fixture
def made(tmp_path):
    """A small chain with every kind of layer and of stored number."""
    rng = np.random.default_rng(0)
    layers = [
        {"class_name": "InputLayer", "config": {"name": "in"}},
        conv("first_gn", 1, 4, dilation=3, use_bias=False), act("a", "gelu"),
        conv("second", 4, 5, dilation=2),
        {"class_name": "BatchNormalization", "config": {"name": "bn", "epsilon": 0.01}},
        act("b", "elu"),
        {"class_name": "Dropout", "config": {"name": "off"}},
        conv("third", 5, 5, activation="relu"),
        conv("out", 5, 2, size=1),
    ]  # fmt: skip
    shapes = {
        "first_gn/kernel": (3, 3, 3, 1, 4), "second/kernel": (3, 3, 3, 4, 5), "second/bias": (5,),
        "bn/gamma": (5,), "bn/beta": (5,), "bn/moving_mean": (5,), "bn/moving_variance": (5,),
        "third/kernel": (3, 3, 3, 5, 5), "third/bias": (5,),
        "out/kernel": (1, 1, 1, 5, 2), "out/bias": (2,),
    }  # fmt: skip
    weights = {n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()}
    weights["bn/moving_variance"] = np.abs(weights["bn/moving_variance"]) + 0.5
    return tmp_path, layers, weights


def plainly(x, w):
    """The same network, with torch's own layers on the whole volume."""
    k = {n: torch.from_numpy(v.transpose(4, 3, 0, 1, 2).copy()) if v.ndim == 5
         else torch.from_numpy(v) for n, v in w.items()}  # fmt: skip
    x = functional.conv3d(x, k["first_gn/kernel"], padding=3, dilation=3)
    x = functional.gelu(functional.instance_norm(x))
    x = functional.conv3d(x, k["second/kernel"], k["second/bias"], padding=2, dilation=2)
    x = functional.batch_norm(
        x, k["bn/moving_mean"], k["bn/moving_variance"], k["bn/gamma"], k["bn/beta"], eps=0.01
    )
    x = functional.elu(x)
    x = functional.relu(functional.conv3d(x, k["third/kernel"], k["third/bias"], padding=1))
    return functional.conv3d(x, k["out/kernel"], k["out/bias"]).softmax(1)[0, 1].numpy()


def test_a_chain_gives_what_torch_gives(made, monkeypatch):
    folder, layers, weights = made
    network = mindgrab._network(write(folder, layers, weights).parent)
    assert [x.activation for x in network] == ["gelu", "elu", "relu", "linear"]
    assert [x.dilation for x in network] == [3, 2, 1, 1]
    values = np.random.default_rng(1).random((70, 9, 12), np.float32)  # three slabs
    monkeypatch.setattr(mindgrab, "_VOXELS", 0)
    expected = plainly(torch.from_numpy(values)[None, None], weights)
    before = values.copy()
    np.testing.assert_allclose(mindgrab._run(values, network, "cpu"), expected, atol=2e-5)
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize(("kind", "near"), [("float16", 2e-3), ("uint16", 1e-4), ("uint8", 2e-2)])
def test_numbers_stored_smaller(made, kind, near):
    folder, layers, weights = made
    path = write(folder, layers, weights, {"third/kernel": kind, "out/bias": kind})
    got = _tfjs.read(path)
    np.testing.assert_allclose(
        got[2].kernel, weights["third/kernel"].transpose(4, 3, 0, 1, 2), atol=near
    )
    np.testing.assert_array_equal(
        got[0].kernel[:, 0], np.moveaxis(weights["first_gn/kernel"][..., 0, :], -1, 0)
    )


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda f, m: (f / "a.bin").write_bytes((f / "a.bin").read_bytes()[:-4]), "the weights end"),
        (lambda f, m: (f / "b.bin").write_bytes((f / "b.bin").read_bytes() + b"1234"), "belong to no"),
        (lambda f, m: (f / "b.bin").unlink(), "FileNotFoundError"),
        (lambda f, m: m["weightsManifest"][0]["paths"].__setitem__(0, "../a.bin"), "is not the name"),
        (lambda f, m: m["weightsManifest"][0]["weights"][0].update(dtype="string"), "KeyError"),
        (lambda f, m: m.pop("modelTopology"), "KeyError"),
        (lambda f, m: layers_of(m)[1]["config"].update(strides=[2, 2, 2]), "not known here"),
        (lambda f, m: layers_of(m)[1].update(class_name="LSTM"), "stands before any convolution"),
        (lambda f, m: layers_of(m)[2]["config"].update(activation="swish"), "'swish' is not known"),
        (lambda f, m: layers_of(m).insert(3, act("again", "relu")), "follows an activation"),
        (lambda f, m: layers_of(m)[3].update(inbound_nodes=[[["in", 0, 0, {}]]]), "does not follow"),
    ],
)  # fmt: skip
def test_damaged_files_and_other_networks_are_refused(made, spoil, told):
    folder, layers, weights = made
    path = write(folder, layers, weights)
    model = json.loads(path.read_text())
    spoil(folder, model)
    path.write_text(json.dumps(model))
    with pytest.raises(EngineError, match=told):
        _tfjs.read(path)


def layers_of(model):
    return model["modelTopology"]["model_config"]["config"]["layers"]


def test_nothing_of_a_file_that_is_no_json(tmp_path):
    (tmp_path / "model.json").write_bytes(b"\x80\x04 no JSON")
    with pytest.raises(EngineError, match=r"not a network in TensorFlow\.js's format"):
        _tfjs.read(tmp_path / "model.json")


def test_nan_among_the_weights_is_refused(made):
    folder, layers, weights = made
    weights["out/bias"][0] = np.nan
    with pytest.raises(EngineError, match="holds NaN"):
        _tfjs.read(write(folder, layers, weights))


@pytest.fixture(scope="module")
def published(data):
    return data / "models" / "mindgrab"


def test_the_published_network_is_read(published):
    network = mindgrab._network(published)
    assert len(network) == 26
    assert [x.dilation for x in network] == [16, 8, 4, 2, 1] * 5 + [1]
    assert all(x.normalised and x.activation == "gelu" for x in network[:-1])
    assert not network[-1].normalised
    assert sum(x.kernel.size + (0 if x.bias is None else x.bias.size) for x in network) == 146_237


def test_the_published_network_on_a_box_is_that_on_the_volume(published, monkeypatch):
    """What lies beyond the head's box counts as background, and is not computed."""
    network = mindgrab._network(published)
    rng = np.random.default_rng(0)
    box = np.zeros((36, 12, 12), np.float32)
    box[6:-6, 3:-3, 3:-3] = rng.random((24, 6, 6))
    monkeypatch.setattr(mindgrab, "_VOXELS", 0)
    x = torch.from_numpy(box)[None, None]
    with torch.inference_mode():
        for layer in network[:-1]:
            d = layer.dilation
            x = functional.conv3d(x, torch.from_numpy(layer.kernel), padding=d, dilation=d)
            x = functional.gelu(functional.instance_norm(x, eps=1e-5))
        last = network[-1]
        x = functional.conv3d(x, torch.from_numpy(last.kernel), torch.from_numpy(last.bias))
    alone = mindgrab._run(box, network, "cpu")
    np.testing.assert_allclose(alone, x.softmax(1)[0, 1].numpy(), atol=5e-4)
    # Twice the volume, the other half constant background.
    monkeypatch.setattr(mindgrab, "_VOXELS", 2 * box.size)
    assert np.abs(mindgrab._run(box, network, "cpu") - alone).max() > 1e-3


def test_the_same_voxels_on_one_thread_and_on_two(published):
    import numba

    network = mindgrab._network(published)
    values = np.random.default_rng(0).random((36, 16, 14), np.float32)
    threads = torch.get_num_threads(), numba.get_num_threads()
    results = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            numba.set_num_threads(min(n, threads[1]))
            results.append(mindgrab._run(values, network, "cpu"))
    finally:
        torch.set_num_threads(threads[0])
        numba.set_num_threads(threads[1])
    np.testing.assert_array_equal(*results)


@pytest.fixture(scope="module")
def small():
    return head(spacing=8.0, labels=False, seed=1).image


@pytest.fixture
def coarse(monkeypatch):
    """A network that sees voxels of 8 mm: no brain is found, but the geometry is the same."""
    monkeypatch.setattr(mindgrab, "_SPACING", 8.0)
    monkeypatch.setattr(mindgrab, "_VOXELS", 32**3)


def test_any_orientation_gives_the_same_on_the_same_grid(published, small, coarse):
    found = mindgrab.probability(small, device="cpu", weights=published)
    assert found.grid == small.grid
    assert (found.role, found.data.dtype) == ("probability", np.float32)
    assert 0 <= found.data.min() < found.data.max() <= 1
    for orientation in ("LPS", "PIR"):  # flipped, and permuted too
        grid = small.grid.reoriented(orientation)
        order, flip = small.grid.axes_to(orientation)
        turn = tuple(slice(None, None, -1) if f else slice(None) for f in flip)
        turned = Volume(np.transpose(small.data, order)[turn].copy(), grid)
        again = mindgrab.probability(turned, device="cpu", weights=published)
        assert again.grid == grid
        np.testing.assert_allclose(
            again.data, np.transpose(found.data, order)[turn], atol=1e-3
        )  # fmt: skip


def test_integers_and_negative_numbers_are_fine(published, small, coarse):
    data = np.round(small.data).astype(np.int16)
    found = mindgrab.probability(small.replace(data), device="cpu", weights=published)
    lower = mindgrab.probability(small.replace(data - 1000), device="cpu", weights=published)
    np.testing.assert_allclose(found.data, lower.data, atol=1e-4)


def test_a_constant_image_has_no_head(published, small, coarse):
    with pytest.raises(EngineError, match="sees no contrast"):
        mindgrab.probability(small.replace(np.ones(small.shape)), weights=published)


def test_missing_weights_are_told(small, monkeypatch, tmp_path):
    monkeypatch.setenv("MRIPREP_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(EngineMissing, match="'mindgrab' are not on this machine"):
        mindgrab.probability(small)


def test_damaged_weights_are_told(published, small, tmp_path):
    for file in ("model.json", "model.bin"):
        shutil.copy(published / file, tmp_path)
        (tmp_path / file).chmod(0o644)
    (tmp_path / "model.bin").write_bytes(b"short")
    with pytest.warns(match="weights of your own"), pytest.raises(EngineError, match="damaged"):
        mindgrab.probability(small, weights=tmp_path)


def test_there_and_back_is_the_same_place():
    """A blob on an oblique anisotropic grid comes back where it was, and where it is in the world."""
    turn = np.array([[0.9, -0.3, 0.1], [0.3, 0.9, 0.2], [-0.15, -0.15, 0.97]])
    turn, _ = np.linalg.qr(turn)
    affine = np.eye(4)
    affine[:3, :3] = turn * (0.8, 1.5, 4.0)
    affine[:3, 3] = (-40, 12, 7)
    native = Grid((90, 50, 16), affine)
    index = np.stack(np.meshgrid(*map(np.arange, native.shape), indexing="ij"), -1)
    away = np.linalg.norm(native.to_world(index) - native.center, axis=-1)
    blob = Volume(np.exp(-((away / 14) ** 2)).astype(np.float32), native)
    grid = _conform.grid_of(native, "LIA")
    assert grid.orientation == "LIA"
    np.testing.assert_allclose(grid.spacing, 1)
    moved = _conform.onto(blob, grid)
    peak = np.unravel_index(moved.argmax(), moved.shape)
    assert np.linalg.norm(grid.to_world(peak) - native.center) < 2.5
    came_back = _conform.back(moved, grid, blob)
    assert came_back.grid == native
    assert np.abs(came_back.data - blob.data).max() < 0.12

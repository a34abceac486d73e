"""Our running of deepbet's networks: against their published TorchScript, on any number of threads, without memory."""

from __future__ import annotations

import functools
import shutil

import numpy as np
import pytest

from mriprep.core import EngineError, InputError, MriprepWarning, Volume
from mriprep.engines import _device
from mriprep.engines.brain import deepbet
from mriprep.phantom import head

N = 64  # of the 256 voxels that the network is made for: it takes any multiple of 32


@functools.cache
def seen():
    """A head as the larger network sees it, (N, N, N)."""
    import torch

    image = head("T1w", spacing=4.0, labels=False).image.data.astype(np.float32)
    x = torch.nn.functional.interpolate(torch.from_numpy(image)[None, None], (N, N, N))[0, 0]
    return deepbet._normalised(x, *deepbet._quantiles(x.numpy(), (0.005, 0.995)))


@functools.cache
def found(threads):
    import torch

    from mriprep.engines.brain import _deepbet_net as net

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            weights = net.load(deepbet._weights("model"), "cpu")
            return net.probability(seen(), weights).numpy()
    finally:
        torch.set_num_threads(before)


def test_it_is_the_published_network():
    import torch

    published = torch.jit.load(str(deepbet._weights("model")), map_location="cpu").eval()
    with torch.inference_mode():
        theirs = published(seen()[None, None])[0, 1].numpy()
    ours = found(1)
    assert 0.02 < (theirs > 0.5).mean() < 0.5  # it sees a brain
    assert np.abs(ours - theirs).max() < 1e-3
    assert ((ours > 0.5) != (theirs > 0.5)).sum() <= 2


@pytest.mark.parametrize("threads", [2, 3])
def test_the_same_to_the_last_bit_on_any_number_of_threads(threads):
    assert np.array_equal(found(1), found(threads))


def test_intensities_are_normalised_as_the_package_does_it():
    import torch

    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.gamma(2, 100, (16, 32, 8)).astype(np.float32))
    low, high = (float(torch.quantile(values.flatten(), q)) for q in (0.005, 0.995))
    assert deepbet._quantiles(values.numpy(), (0.005, 0.995)) == pytest.approx(
        [low, high], rel=1e-6
    )
    x = ((values - low) / (high - low)).clamp(0, 1)
    wanted = 0.226 * (x - x.mean()) / x.std() + 0.449
    assert torch.allclose(deepbet._normalised(values.clone(), low, high), wanted, atol=1e-5)


def test_half_precision_finds_the_same_brain():
    """As on a GPU: weights and voxels in half precision, here for want of one on the CPU."""
    import torch

    from mriprep.engines.brain import _deepbet_net as net

    state = net.load(deepbet._weights("model"), "cpu")
    rounded = {k: v.half().float() for k, v in state.items()}
    with torch.inference_mode():
        half = net.probability(seen().half().float(), rounded).numpy() > 0.5
    full = found(1) > 0.5
    assert 2 * (half & full).sum() / (half.sum() + full.sum()) > 0.999


def test_without_gpu_memory_the_cpu_is_used_and_it_is_said(monkeypatch):
    import torch

    calls = []

    def run(image, small, large, device):
        calls.append(device)
        if device == "cuda":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return tuple(slice(2, 6) for _ in range(3)), np.full((4, 4, 4), 0.75, np.float32)

    monkeypatch.setattr(deepbet, "_run", run)
    monkeypatch.setattr(_device, "on_gpu", lambda device: True)
    affine = np.diag([-2.0, -2.0, 3.0, 1.0])
    image = Volume(np.random.default_rng(0).normal(size=(8, 8, 9)), affine)
    with pytest.warns(
        MriprepWarning, match="deepbet: there is not enough memory to run on the GPU"
    ):
        result = deepbet.probability(image)
    assert calls == ["cuda", "cpu"]
    assert result.grid == image.grid
    assert result.data.dtype == np.float32
    # The box lies in axes that point to RAS; the image's point to LPS.
    assert (result.data[2:6, 2:6, 2:6] == 0.75).all()
    assert result.data.sum() == 64 * 0.75


def test_weights_of_a_folder_and_what_is_wrong_with_them(tmp_path):
    from mriprep.engines.brain import _deepbet_net as net

    image = Volume(np.arange(1000, dtype=np.float32).reshape(10, 10, 10), np.eye(4))
    with pytest.raises(InputError, match=r"it has no bbox_model\.pt"):
        deepbet.probability(image, device="cpu", weights=tmp_path)
    for name in ("bbox_model", "model"):
        shutil.copy(deepbet._weights(name), tmp_path)
    assert deepbet._weights("model", tmp_path) == tmp_path / "model.pt"
    (tmp_path / "model.pt").write_bytes(b"damaged")
    with pytest.raises(EngineError, match="cannot be read as deepbet's weights"):
        net.load(tmp_path / "model.pt", "cpu")


def test_another_network_is_refused(tmp_path):
    import torch

    from mriprep.engines.brain import _deepbet_net as net

    other = torch.jit.trace(torch.nn.Conv3d(1, 2, 1), torch.zeros(1, 1, 2, 2, 2))
    other.save(str(tmp_path / "model.pt"))
    with pytest.raises(EngineError, match="another network"):
        net.load(tmp_path / "model.pt", "cpu")

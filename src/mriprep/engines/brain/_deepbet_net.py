"""deepbet's network, run from its weights: the same sums as the published TorchScript, done faster.

What differs, by rounding alone (1e-4 in a probability at the most):

- channels lie innermost in memory, and tensors are changed in place: a new
  one of 100 MB costs more than what is done to it;
- pooling comes before normalisation and ReLU, which both keep order, so that
  they see an eighth of the voxels;
- the softmax of two classes is the sigmoid of their difference: one class is
  computed, by one matrix product, where there were two and a transposed
  convolution;
- sums for the normalisation run over blocks whose number is fixed, added in
  float64 and in order: the same voxels whatever the number of threads.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from mriprep.core import EngineError
from mriprep.kernels import channels

Weights = dict[str, Any]

_EPSILON = 1e-5
_LAST = torch.channels_last_3d


def load(path: Path, device: str) -> Weights:
    """The weights of a TorchScript file; its code is never run.

    Raises
    ------
    EngineError
        If the file cannot be read, or is of another network.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript, by torch 2.13
            state = dict(torch.jit.load(str(path), map_location="cpu").state_dict())
    except (RuntimeError, ValueError, OSError) as error:
        raise EngineError(
            f"{path.name} cannot be read as deepbet's weights",
            hint="it may be damaged: pip install --force-reinstall --no-deps deepbet",
        ) from error
    expected = dict(_shapes())
    if {name: tuple(value.shape) for name, value in state.items()} != expected:
        raise EngineError(
            f"{path.name} holds another network than deepbet 1.0's",
            hint="pip install 'deepbet==1.0.2'",
        )
    return _prepared({name: value.detach() for name, value in state.items()}, device)


def probability(x: Any, weights: Mapping[str, Any]) -> Any:
    """The probability of brain, (2X, 2Y, 2Z) from (2X, 2Y, 2Z) normalised intensities, on `x`'s device."""
    # A lone channel can be strided as if it lay outermost: then all that follows would.
    x = x.to(weights["init.0.weight"].dtype)[None, ..., None].permute(0, 4, 1, 2, 3)
    first = _conv(x, weights["init.0.weight"], stride=2, padding=3)
    moments = _moments(first)
    y0 = _normalise(functional.max_pool3d(first, 3, 2, 1), moments=moments)
    del first, x
    y1 = _down(y0, weights, "down0", 1)
    y2 = _down(y1, weights, "down1", 2)
    y3 = _down(y2, weights, "down2", 2)
    y = _down(y3, weights, "down3", 2)
    for name, skip in (("up0", y3), ("up1", y2), ("up2", y1), ("up3", y0)):
        y = _up(y, weights, name).add_(skip)
    y = _normalise(_turned(y, weights["tp_conv1.0.weight"], weights["tp_conv1.0.bias"]))
    y = _normalise(_conv(y, weights["conv.0.weight"], weights["conv.0.bias"], padding=1))
    a, b, c = y.shape[2:]
    flat = y.permute(0, 2, 3, 4, 1).reshape(-1, y.shape[1])
    logits = torch.addmm(weights["last.bias"], flat, weights["last.weight"])
    parts = _sigmoid(logits).reshape(a, b, c, 2, 2, 2)
    return parts.permute(0, 3, 1, 4, 2, 5).reshape(2 * a, 2 * b, 2 * c)


def moments(x: Any) -> tuple[float, float]:
    """Mean and (biased) variance of all elements, the same whatever the number of threads."""
    mean, variance = _moments(x[None, None].contiguous())
    return float(mean), float(variance)


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of all weights."""
    yield "init.0.weight", (16, 1, 7, 7, 7)
    for level, (before, after) in enumerate(((16, 16), (16, 32), (32, 64), (64, 128))):
        for block, into in (("block1", before), ("block2", after)):
            yield f"down{level}.{block}.double_conv.0.weight", (after, into, 3, 3, 3)
            yield f"down{level}.{block}.double_conv.3.weight", (after, after, 3, 3, 3)
        if level:
            yield f"down{level}.block1.downsample.0.weight", (after, before, 1, 1, 1)
    for level, (before, within, after) in enumerate(
        ((128, 32, 64), (64, 16, 32), (32, 8, 16), (16, 4, 16))
    ):
        yield f"up{level}.conv1.0.weight", (within, before, 1, 1, 1)
        yield f"up{level}.tp_conv.0.weight", (within, within, 3, 3, 3)
        yield f"up{level}.conv2.0.weight", (after, within, 1, 1, 1)
    yield from (("tp_conv1.0.weight", (16, 8, 3, 3, 3)), ("tp_conv1.0.bias", (8,)))
    yield from (("conv.0.weight", (8, 8, 3, 3, 3)), ("conv.0.bias", (8,)))
    yield from (("tp_conv2.weight", (8, 2, 2, 2, 2)), ("tp_conv2.bias", (2,)))


def _prepared(state: Weights, device: str) -> Weights:
    last, bias = state.pop("tp_conv2.weight"), state.pop("tp_conv2.bias")
    state["last.weight"] = (last[:, 1] - last[:, 0]).reshape(last.shape[0], -1)
    state["last.bias"] = (bias[1] - bias[0]).expand(state["last.weight"].shape[1])
    # With a stride of one a transposed convolution is one with the kernel turned round.
    turned = state["up3.tp_conv.0.weight"]
    state["up3.tp_conv.0.weight"] = turned.transpose(0, 1).flip(2, 3, 4)
    kind = torch.float32 if device == "cpu" else torch.float16
    return {
        name: value.to(device, kind).contiguous(
            memory_format=_LAST if value.ndim == 5 else torch.contiguous_format
        )
        for name, value in state.items()
    }


def _down(x: Any, weights: Mapping[str, Any], name: str, stride: int) -> Any:
    for block, step in (("block1", stride), ("block2", 1)):
        at = f"{name}.{block}."
        y = _conv(x, weights[at + "double_conv.0.weight"], stride=step, padding=1)
        y = _conv(_normalise(y), weights[at + "double_conv.3.weight"], padding=1)
        y = _normalise(y, relu=False)
        shorter = weights.get(at + "downsample.0.weight")
        if shorter is not None:
            x = _normalise(_conv(x, shorter, stride=step), relu=False)
        x = y.add_(x).relu_()
    return x


def _up(x: Any, weights: Mapping[str, Any], name: str) -> Any:
    y = _normalise(_conv(x, weights[f"{name}.conv1.0.weight"]))
    kernel = weights[f"{name}.tp_conv.0.weight"]
    y = _normalise(_conv(y, kernel, padding=1) if name == "up3" else _turned(y, kernel))
    return _normalise(_conv(y, weights[f"{name}.conv2.0.weight"]))


def _conv(x: Any, weight: Any, bias: Any = None, stride: int = 1, padding: int = 0) -> Any:
    if not x.is_cuda and torch.backends.mkldnn.is_available():
        # torch would choose by size and threads; oneDNN is the faster one, and always the same.
        three = [[n] * 3 for n in (padding, stride, 1)]
        return torch.mkldnn_convolution(x, weight, bias, *three, 1)
    return functional.conv3d(x, weight, bias, stride=stride, padding=padding)


def _turned(x: Any, weight: Any, bias: Any = None) -> Any:
    """A transposed convolution that doubles the resolution."""
    return functional.conv_transpose3d(x, weight, bias, stride=2, padding=1, output_padding=1)


def _normalise(x: Any, *, relu: bool = True, moments: tuple[Any, Any] | None = None) -> Any:
    """Each channel to mean 0 and variance 1, in place, then the ReLU."""
    mean, variance = _moments(x) if moments is None else moments
    scale = torch.rsqrt(variance + _EPSILON)
    factor, shift = (v.to(x.dtype) for v in (scale, -mean * scale))
    if not x.is_cuda:
        channels.scale(
            _rows(x).numpy(), factor.numpy(), shift.numpy(), least=0.0 if relu else -np.inf
        )
        return x
    # factor * x + shift
    torch.addcmul(shift[None, :, None, None, None], x, factor[None, :, None, None, None], out=x)
    return x.relu_() if relu else x


def _moments(x: Any) -> tuple[Any, Any]:
    """Mean and variance of each channel, float64."""
    rows = _rows(x)
    if x.is_cuda:
        variance, mean = torch.var_mean(rows.float(), 0, correction=0)
        return mean.double(), variance.double()
    # Several times as fast as torch's own reductions over an outer axis.
    total, squares = torch.from_numpy(channels.sums(rows.numpy())) / len(rows)
    return total, (squares - total * total).clamp(min=0)


def _rows(x: Any) -> Any:
    """A view (N, C) of a tensor (1, C, X, Y, Z) whose channels lie innermost."""
    return x.permute(0, 2, 3, 4, 1).view(-1, x.shape[1])


def _sigmoid(x: Any) -> Any:
    """In place. A thread's last few voxels are computed another way, so their number must not matter."""
    if x.is_cuda:
        return x.sigmoid_()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 << (threads.bit_length() - 1))  # divides the network's sizes
        return x.sigmoid_()
    finally:
        torch.set_num_threads(threads)

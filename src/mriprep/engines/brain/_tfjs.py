"""Reading a chain of 3D convolutions published for TensorFlow.js (``model.json`` and its shards).

Only what such chains are made of is known: Conv3D, Activation,
BatchNormalization, Dropout; weights as float32, float16, or quantised to 8 or
16 bits. Names of convolutions that end in ``_gn`` mean, as in brainchop, that
every channel of their result is normalised over the volume (instance
normalisation, no parameters).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import EngineError
from mriprep.io.strict_json import load_json

Floats = npt.NDArray[np.float32]

ACTIVATIONS = ("linear", "relu", "elu", "gelu", "sigmoid", "tanh")
#: No weights of a network as small as these are larger (bytes).
_LARGEST = 2**28


@dataclass(frozen=True)
class Layer:
    """A convolution and what follows it.

    Parameters
    ----------
    kernel : (out, in, k, k, k) float32 array
        As torch has it.
    bias : (out,) float32 array or None
        Added to its result.
    dilation : int
        Distance of its taps.
    normalised : bool
        Whether each channel is then normalised over the volume.
    scale, shift : (out,) float32 arrays or None
        Of a batch normalisation, folded.
    activation : str
        One of `ACTIVATIONS`.
    """

    kernel: Floats
    bias: Floats | None
    dilation: int
    normalised: bool = False
    scale: Floats | None = None
    shift: Floats | None = None
    activation: str = "linear"


def read(path: Path) -> tuple[Layer, ...]:
    """Read a ``model.json`` and the shards beside it.

    Raises
    ------
    EngineError
        If the files are damaged, or the network is not such a chain.
    """
    try:
        model = load_json(path)
        config = model["modelTopology"]["model_config"]
        layers = (
            config["config"]["layers"] if isinstance(config["config"], dict) else config["config"]
        )
        weights = dict(_weights(path.parent, model["weightsManifest"]))
        result = tuple(_chain(layers, weights))
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise EngineError(
            f"{path.name} is not a network in TensorFlow.js's format, or it is damaged"
            f" ({type(error).__name__}: {error})",
            hint="`mriprep fetch mindgrab` fetches the published files anew",
        ) from error
    if not result:
        raise EngineError(f"{path.name} holds no convolution")
    return result


def _weights(folder: Path, manifest: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Floats]]:
    for group in manifest:
        raw = b"".join(_shard(folder, name) for name in group["paths"])
        at = 0
        for told in group["weights"]:
            count = int(np.prod(told["shape"], dtype=np.int64))
            stored = told.get("quantization", {}).get("dtype", told["dtype"])
            kind = np.dtype(
                {"float32": "<f4", "float16": "<f2", "uint8": "u1", "uint16": "<u2"}[stored]
            )
            if at + count * kind.itemsize > len(raw):
                raise ValueError(f"the weights end within '{told['name']}'")
            values = np.frombuffer(raw, kind, count, at).astype(np.float32)
            at += count * kind.itemsize
            if kind.kind == "u":
                rule = told["quantization"]
                values = values * np.float32(rule["scale"]) + np.float32(rule["min"])
            if not np.isfinite(values).all():
                raise ValueError(f"'{told['name']}' holds NaN or infinity")
            yield told["name"], values.reshape(told["shape"])
        if at != len(raw):
            raise ValueError(f"{len(raw) - at} bytes of weights belong to no layer")


def _shard(folder: Path, name: str) -> bytes:
    if Path(name).name != name or "\\" in name:
        raise ValueError(f"'{name}' is not the name of a file beside it")
    if (folder / name).stat().st_size > _LARGEST:
        raise ValueError(f"'{name}' is too large")
    return (folder / name).read_bytes()


def _chain(told: Sequence[Mapping[str, Any]], weights: Mapping[str, Floats]) -> Iterator[Layer]:
    """The layers one after the other, what follows a convolution folded into it."""
    before, current = None, None
    for layer in told:
        config, kind, name = layer["config"], layer["class_name"], layer["config"]["name"]
        _follows(layer, before)
        before = layer.get("name", name)
        if kind == "Conv3D":
            if current is not None:
                yield current
            current = _convolution(config, weights)
        elif kind in ("InputLayer", "Dropout", "SpatialDropout3D"):
            continue
        elif current is None:
            raise ValueError(f"'{name}' ({kind}) stands before any convolution")
        elif current.activation != "linear":
            raise ValueError(f"'{name}' ({kind}) follows an activation, which is not known here")
        elif kind == "Activation":
            current = _with(current, activation=_activation(config["activation"]))
        elif kind == "BatchNormalization" and current.scale is None:
            current = _normalisation(current, config, weights)
        else:
            raise ValueError(f"'{name}' is a {kind}, which is not known here")
    if current is not None:
        yield current


def _follows(layer: Mapping[str, Any], before: str | None) -> None:
    inbound = layer.get("inbound_nodes")
    if inbound and before is not None:
        sources = [node[0] for node in inbound[0]]
        if len(inbound) > 1 or sources != [before]:
            raise ValueError(f"'{layer['config']['name']}' does not follow the layer before it")


def _convolution(config: Mapping[str, Any], weights: Mapping[str, Floats]) -> Layer:
    name = config["name"]
    dilation = set(config.get("dilation_rate", (1, 1, 1)))
    fits = (
        config.get("padding") == "same"
        and set(config.get("strides", (1,))) == {1}
        and config.get("data_format", "channels_last") == "channels_last"
        and len(dilation) == 1
        and all(k % 2 == 1 for k in config["kernel_size"])
    )
    kernel = weights[f"{name}/kernel"]
    shape = (*config["kernel_size"], kernel.shape[3], config["filters"])
    if not fits or kernel.shape != shape:
        raise ValueError(f"the convolution '{name}' is of a kind that is not known here")
    return Layer(
        np.ascontiguousarray(kernel.transpose(4, 3, 0, 1, 2)),
        weights[f"{name}/bias"] if config.get("use_bias", True) else None,
        int(dilation.pop()),
        normalised=name.endswith("_gn"),
        activation=_activation(config.get("activation", "linear")),
    )


def _normalisation(layer: Layer, config: Mapping[str, Any], weights: Mapping[str, Floats]) -> Layer:
    name = config["name"]
    mean, variance = weights[f"{name}/moving_mean"], weights[f"{name}/moving_variance"]
    scale = np.ones_like(mean) if not config.get("scale", True) else weights[f"{name}/gamma"]
    shift = np.zeros_like(mean) if not config.get("center", True) else weights[f"{name}/beta"]
    scale = scale / np.sqrt(variance + np.float32(config.get("epsilon", 1e-3)))
    return _with(layer, scale=scale, shift=shift - mean * scale)


def _with(layer: Layer, **changes: Any) -> Layer:
    from dataclasses import replace

    return replace(layer, **changes)


def _activation(name: str) -> str:
    if name not in ACTIVATIONS:
        raise ValueError(f"the activation '{name}' is not known here")
    return name

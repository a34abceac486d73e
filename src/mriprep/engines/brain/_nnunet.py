"""A trained nnU-Net, read without running code from its files, as nnU-Net's own predictor in memory.

Isensee F et al. nnU-Net: a self-configuring method for deep learning-based
biomedical image segmentation. Nat Methods 2021. doi:10.1038/s41592-020-01008-z
"""

from __future__ import annotations

import contextlib
import functools
import io
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep.core import EngineError
from mriprep.io.strict_json import load_json

FILES = ("dataset.json", "plans.json", "fold_all/checkpoint_final.pth")

_NETWORKS = "dynamic_network_architectures.architectures."
_LAYERS = "torch.nn."
#: What torch says of a file that asks for more than tensors and plain values.
_CODE = re.compile(r"Unsupported (global|class)|unrecognized function|Can only (build|create)")


def foreground(
    data: npt.NDArray[np.float32],
    spacing: Sequence[float],
    folder: Path,
    *,
    device: str,
    mirror: bool,
) -> npt.NDArray[np.float32]:
    """The probability of a network's one foreground class.

    Parameters
    ----------
    data : (Z, Y, X) array
        Intensities, in the order in which nnU-Net's readers give axes.
    spacing : (3,) floats
        Voxel size along those axes, mm.
    folder : Path
        With the files of :data:`FILES`.
    device : str
        ``"cpu"`` or ``"cuda"``.
    mirror : bool
        Whether to average over mirrored copies, along the axes that the
        network was trained to be mirrored.

    Returns
    -------
    (Z, Y, X) array of float32
        On the voxels of the input.

    Raises
    ------
    EngineError
        If the files are damaged, do not fit each other, or would run code.
    """
    predictor = _predictor(folder, *(_stamp(folder / f) for f in FILES))
    import torch
    from nnunetv2.inference import export_prediction

    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    predictor.device = torch.device(device)
    predictor.use_mirroring = mirror and predictor.allowed_mirroring_axes is not None
    properties: dict[str, Any] = {"spacing": [float(s) for s in spacing]}
    threads = torch.get_num_threads()  # before nnU-Net sets its own
    with _settings_kept():
        preprocessor = configuration.preprocessor_class(verbose=False)
        seen, _, properties = preprocessor.run_case_npy(
            data[None], None, properties, plans, configuration, predictor.dataset_json
        )
        logits = predictor.predict_logits_from_preprocessed_data(torch.from_numpy(seen))
        _, probabilities = export_prediction.convert_predicted_logits_to_segmentation_with_correct_shape(
            logits.float(), plans, configuration, predictor.label_manager, properties,
            return_probabilities=True, num_threads_torch=threads,
        )  # fmt: skip
    return np.asarray(probabilities[1], np.float32)


def _stamp(path: Path) -> tuple[int, int]:
    """Changes when a file does."""
    try:
        found = path.stat()
    except OSError as error:
        raise EngineError(
            f"the weights are not whole: {path.parent.name}/{path.name} is not there",
            hint=f"wanted in one folder: {', '.join(FILES)}",
        ) from error
    return found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=1)
def _predictor(folder: Path, *stamps: tuple[int, int]) -> Any:
    """nnU-Net's predictor with a network in it. Its own way to load it would run any code in the file."""
    import torch

    with contextlib.redirect_stdout(io.StringIO()), _settings_kept():
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
        from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        predictor = nnUNetPredictor(
            perform_everything_on_device=False,  # else it catches a lack of memory, and hides it
            device=torch.device("cpu"),
            allow_tqdm=False,
        )
    dataset, plan = (_json(folder / name) for name in FILES[:2])
    checkpoint = _checkpoint(folder / FILES[2])
    try:
        plans = PlansManager(plan)
        configuration = plans.get_configuration(checkpoint["init_args"]["configuration"])
        channels = determine_num_input_channels(plans, configuration, dataset)
        classes = plans.get_label_manager(dataset).num_segmentation_heads
        if (channels, classes) != (1, 2):
            raise EngineError(
                f"this nnU-Net sees {channels} images and tells {classes} classes apart; one image,"
                " background and brain are wanted",
                hint="are these the weights of another task?",
            )
        network = _network(configuration, channels, classes)
        network.load_state_dict(checkpoint["network_weights"])
        predictor.manual_initialization(
            network.eval(), plans, configuration, [network.state_dict()], dataset,
            str(checkpoint.get("trainer_name")), checkpoint.get("inference_allowed_mirroring_axes"),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        said = str(error).splitlines()[0] if str(error) else "nothing said"
        raise EngineError(
            f"the checkpoint, plans.json and dataset.json do not fit each other: "
            f"{type(error).__name__}: {said}",
            hint="take all three from one download",
        ) from error
    return predictor


def _network(configuration: Any, channels: int, classes: int) -> Any:
    """The network that the plans describe; names in the plans are not followed just anywhere."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    name = configuration.network_arch_class_name
    arguments: Mapping[str, Any] = configuration.network_arch_init_kwargs
    imported = list(configuration.network_arch_init_kwargs_req_import)
    asked = {"network_class_name": name, **{k: arguments[k] for k in imported if arguments[k]}}
    for key, value in asked.items():
        if not str(value).startswith(_NETWORKS if key == "network_class_name" else _LAYERS):
            raise EngineError(
                f"plans.json asks for '{value}' as {key}, which is not a part of nnU-Net's networks",
                hint="nothing of it was loaded; take the weights from where they are published",
            )
    return get_network_from_plans(
        name, arguments, imported, channels, classes, allow_init=False, deep_supervision=False
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        told = load_json(path)
    except (OSError, ValueError) as error:
        raise EngineError(
            f"{path.name} of the weights cannot be read: {error}", hint="it may be damaged"
        ) from error
    if not isinstance(told, dict):
        raise EngineError(f"{path.name} of the weights does not hold what it should")
    return told


def _checkpoint(path: Path) -> dict[str, Any]:
    """What is in a checkpoint: tensors, and numbers of its training; anything else is refused."""
    import torch

    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    numbers = [np.dtype, *{type(np.dtype(c)) for c in "?bBhHiIlLqQefd"}]
    safe = [scalar, (scalar, "numpy.core.multiarray.scalar"), *numbers]  # NumPy 1's name too
    try:
        with torch.serialization.safe_globals(safe):
            told = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if _CODE.search(str(error)):
            raise EngineError(
                f"{path.name} holds more than weights and would run code when it is loaded",
                hint="nothing of it was run; take the weights from where they are published",
            ) from error
        raise _damaged(path) from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise _damaged(path) from error
    if not isinstance(told, dict) or "network_weights" not in told:
        raise EngineError(
            f"{path.name} is not a checkpoint of nnU-Net: it has no 'network_weights'",
            hint=f"wanted: {', '.join(FILES)}",
        )
    return told


def _damaged(path: Path) -> EngineError:
    return EngineError(
        f"{path.name} cannot be read: it is damaged, or not a checkpoint of PyTorch",
        hint="fetch it again",
    )


@contextlib.contextmanager
def _settings_kept() -> Iterator[None]:
    """nnU-Net changes settings of torch for the whole process; here they are put back."""
    import torch

    cudnn, threads = torch.backends.cudnn.benchmark, torch.get_num_threads()
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = cudnn
        torch.set_num_threads(threads)

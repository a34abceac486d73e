"""A trained nnU-Net's folder as HD-BET's is, with a tiny network whose weights are set by hand.

Its logit of brain is ``steepness * (z - threshold)``, where z is the voxel's
intensity in units that the plans' normalisation makes (mean 0, standard
deviation 1); that of the background is 0. With a `shift` it looks that many
voxels to one side along its last axis, as a network that is not symmetric.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

STEEPNESS, THRESHOLD = 4.0, 1.0

PLANS: dict[str, Any] = {
    "dataset_name": "Dataset001_Heads",
    "plans_name": "nnUNetPlans",
    "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [0, 1, 2],
    "transpose_backward": [0, 1, 2],
    "label_manager": "LabelManager",
    "foreground_intensity_properties_per_channel": {"0": {}},
    "configurations": {
        "3d_fullres": {
            "data_identifier": "nnUNetPlans_3d_fullres",
            "preprocessor_name": "DefaultPreprocessor",
            "batch_size": 2,
            "patch_size": [16, 24, 16],
            "median_image_size_in_voxels": [24, 24, 24],
            "spacing": [2.0, 2.0, 2.0],
            "normalization_schemes": ["ZScoreNormalization"],
            "use_mask_for_norm": [False],
            "batch_dice": False,
            **{
                key: value
                for which, order in (("data", 3), ("seg", 1), ("probabilities", 1))
                for key, value in {
                    f"resampling_fn_{which}": "resample_data_or_seg_to_shape",
                    f"resampling_fn_{which}_kwargs": {
                        "is_seg": which == "seg",
                        "order": order,
                        "order_z": 0,
                        "force_separate_z": None,
                    },
                }.items()
            },
            "architecture": {
                "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                "arch_kwargs": {
                    "n_stages": 2,
                    "features_per_stage": [2, 4],
                    "conv_op": "torch.nn.modules.conv.Conv3d",
                    "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
                    "strides": [[1, 1, 1], [2, 2, 2]],
                    "n_conv_per_stage": [1, 1],
                    "n_conv_per_stage_decoder": [1],
                    "conv_bias": True,
                    "norm_op": None,
                    "norm_op_kwargs": None,
                    "dropout_op": None,
                    "dropout_op_kwargs": None,
                    "nonlin": "torch.nn.LeakyReLU",
                    "nonlin_kwargs": {"inplace": True, "negative_slope": 1.0},
                },
                "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
            },
        }
    },
}

DATASET = {
    "channel_names": {"0": "MRI"},
    "labels": {"background": 0, "brain": 1},
    "numTraining": 1,
    "file_ending": ".nii.gz",
}


def make(folder: Path, *, shift: int = 0) -> Path:
    """Write the three files; `shift` is -1, 0 or 1."""
    import torch

    weights = {name: torch.zeros_like(v) for name, v in network().state_dict().items()}
    weights["encoder.stages.0.0.convs.0.conv.weight"][0, 0, 1, 1, 1 + shift] = 1
    # The decoder sees what comes from below (2 channels), then what was skipped (2).
    weights["decoder.stages.0.convs.0.conv.weight"][0, 2, 1, 1, 1] = 1
    weights["decoder.seg_layers.0.weight"][1, 0] = STEEPNESS
    weights["decoder.seg_layers.0.bias"][1] = -STEEPNESS * THRESHOLD
    # The same layers under the names that the blocks give them as well.
    for name in list(weights):
        if "all_modules.0" in name:
            weights[name] = weights[name.replace("all_modules.0", "conv")]
        if name.startswith("decoder.encoder."):
            weights[name] = weights[name.removeprefix("decoder.").replace("all_modules.0", "conv")]
    checkpoint = {
        "network_weights": weights,
        "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
        "grad_scaler_state": None,
        "logging": {"dice": [np.float32(0.9), np.float64(0.95)], "epochs": [1.0]},
        "_best_ema": np.float64(0.95),
        "current_epoch": 1,
        "init_args": {"configuration": "3d_fullres", "fold": "all", "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    save(folder, checkpoint)
    return folder


def save(folder: Path, checkpoint: Any = None, plans: Any = None, dataset: Any = None) -> None:
    """Write a checkpoint, plans and dataset: those of this module where none are given."""
    import torch

    (folder / "fold_all").mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(PLANS if plans is None else plans))
    (folder / "dataset.json").write_text(json.dumps(DATASET if dataset is None else dataset))
    if checkpoint is not None:
        torch.save(checkpoint, folder / "fold_all" / "checkpoint_final.pth")


def changed_plans(**architecture: Any) -> dict[str, Any]:
    """The plans with another architecture."""
    plans = copy.deepcopy(PLANS)
    plans["configurations"]["3d_fullres"]["architecture"].update(architecture)
    return plans


def network() -> Any:
    """The plans' network."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    told = PLANS["configurations"]["3d_fullres"]["architecture"]
    return get_network_from_plans(
        told["network_class_name"], told["arch_kwargs"], told["_kw_requires_import"], 1, 2,
        deep_supervision=False,
    )  # fmt: skip

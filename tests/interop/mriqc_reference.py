"""Compute the reference values of test_mriqc.py with MRIQC itself.

MRIQC 24.0.2 wants numpy below 2 and MarkupSafe 2.0, so that it cannot be
installed beside mriprep. In an environment of its own:

    python3.11 -m venv mriqc && mriqc/bin/pip install mriqc==24.0.2
    mriqc/bin/python tests/interop/mriqc_reference.py

writes mriqc_reference.json beside this file. Its classes run as they are,
on files; only AFNI is not there, so that its smoothness is left out.
"""

from __future__ import annotations

import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

import nibabel as nb
import numpy as np
from mriqc.interfaces.anatomical import (
    ArtifactMask,
    ComputeQI2,
    Harmonize,
    RotationMask,
    StructuralQC,
)
from mriqc.workflows.anatomical.base import _enhance, gradient_threshold, image_gradient
from mriqc_scene import AFFINE, scene

TISSUES = ("csf", "gm", "wm")
IDENTITY = """#Insight Transform File V1.0
#Transform 0
Transform: AffineTransform_double_3_3
Parameters: 1 0 0 0 1 0 0 0 1 0 0 0
FixedParameters: 0 0 0
"""


def measured(contrast: str) -> dict[str, float]:
    files = {}
    for name, array in scene(contrast).items():
        data = array.astype(np.uint8) if array.dtype == bool else array
        nb.Nifti1Image(data, AFFINE).to_filename(f"{name}.nii.gz")
        files[name] = os.path.abspath(f"{name}.nii.gz")
    segmentation = np.stack([nb.load(files[t]).get_fdata() for t in TISSUES]).argmax(axis=0) + 1
    brain = nb.load(files["brain"]).get_fdata() > 0
    nb.Nifti1Image((segmentation * brain).astype(np.uint8), AFFINE).to_filename("segm.nii.gz")
    Path("identity.tfm").write_text(IDENTITY)
    np.random.seed(0)  # noqa: NPY002 (MRIQC's own draws)
    enhanced = _enhance(files["corrected"], files["wm"], os.path.abspath("enhanced.nii.gz"))
    gradient = image_gradient(enhanced, files["brain"], out_file=os.path.abspath("grad.nii.gz"))
    head = gradient_threshold(gradient, files["brain"], out_file=os.path.abspath("head.nii.gz"))
    rotation = RotationMask(in_file=files["raw"]).run().outputs.out_file
    air = ArtifactMask(
        in_file=files["raw"], head_mask=head, ind2std_xfm=os.path.abspath("identity.tfm")
    ).run()
    scaled = Harmonize(in_file=files["corrected"], wm_mask=files["wm"]).run().outputs.out_file
    found = StructuralQC(
        in_file=files["raw"], in_noinu=scaled, in_segm=os.path.abspath("segm.nii.gz"),
        in_bias=files["bias"], head_msk=head, air_msk=air.outputs.out_air_msk, rot_msk=rotation,
        artifact_msk=air.outputs.out_art_msk, in_pvms=[files[t] for t in TISSUES],
        mni_tpms=[files[f"template_{t}"] for t in TISSUES], in_fwhm=[1.0, 1.0, 1.0],
    ).run().outputs.out_qc  # fmt: skip
    found["qi_2"] = (
        ComputeQI2(in_file=files["raw"], air_msk=air.outputs.out_hat_msk).run().outputs.qi2
    )
    found["voxels_head"] = int(np.asanyarray(nb.load(head).dataobj)[2:].sum())
    for name, mask in (
        ("hat", air.outputs.out_hat_msk), ("art", air.outputs.out_art_msk), ("rotation", rotation)
    ):  # fmt: skip
        found[f"voxels_{name}"] = int(np.asanyarray(nb.load(mask).dataobj)[2:].sum())
    return {k: float(v) for k, v in sorted(found.items()) if not k.startswith("fwhm")}


def main() -> None:
    there = Path(__file__).with_name("mriqc_reference.json")
    values = {"mriqc": version("mriqc"), "numpy": np.__version__}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for contrast in ("T1w", "T2w"):
            values[contrast] = measured(contrast)
    there.write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()

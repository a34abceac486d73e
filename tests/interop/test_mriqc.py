"""MRIQC's metrics against MRIQC: values that its own classes gave, by mriqc_reference.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mriqc_scene import AFFINE, scene

from mriprep.core import Transform, Volume
from mriprep.qc.metrics import METRICS, Measurable, measure
from mriprep.qc.metrics.scene import Scene

REFERENCE = json.loads(Path(__file__).with_name("mriqc_reference.json").read_text())
TISSUES = ("csf", "gm", "wm")


def measurable(contrast: str) -> Measurable:
    arrays = scene(contrast)

    def volume(name: str, role: str = "image") -> Volume:
        return Volume(arrays[name], AFFINE, role)

    return Measurable(
        volume("raw"), volume("corrected"), volume("brain", "mask"),
        {t: volume(t, "probability") for t in TISSUES}, volume("bias"), Transform(np.eye(4)), contrast,
        template_tissues={t: volume(f"template_{t}", "probability") for t in TISSUES},
    )  # fmt: skip


@pytest.mark.parametrize("contrast", ["T1w", "T2w"])
def test_masks_are_the_same(contrast) -> None:
    """Off the first two sagittal slices, which MRIQC's code marks by a slip; it dims fat at random."""
    ours, theirs = Scene(measurable(contrast)), REFERENCE[contrast]
    assert ours.head[2:].sum() == pytest.approx(theirs["voxels_head"], rel=2e-4)
    assert ours.hat[2:].sum() == pytest.approx(theirs["voxels_hat"], rel=2e-4)
    assert ours.artifacts[2:].sum() == theirs["voxels_art"]
    assert ours.empty[2:].sum() == theirs["voxels_rotation"]


@pytest.mark.parametrize("contrast", ["T1w", "T2w"])
def test_values_are_the_same(contrast, monkeypatch) -> None:
    """With that slip, each of MRIQC's values that does not come from AFNI."""
    slipped = Scene.head.func

    def head(self):
        mask = slipped(self).copy()
        mask[:2] = True
        return mask

    monkeypatch.setattr(Scene.head, "func", head)
    ours = measure(measurable(contrast))
    theirs = {n: v for n, v in REFERENCE[contrast].items() if not n.startswith("voxels_")}
    expected = {n for n, m in METRICS.items() if m.group == "mriqc" and not n.startswith("fwhm_")}
    assert set(theirs) == expected
    for name, value in theirs.items():
        # MRIQC works in double precision; its fit of the noise stops where a simplex does.
        tolerance = {"fber": 1e-3, "qi_2": 0.2}.get(name, 1e-4)
        assert ours.values[name] == pytest.approx(value, rel=tolerance, abs=1e-5), name


def test_the_slip_is_small() -> None:
    ours, theirs = measure(measurable("T1w")), REFERENCE["T1w"]
    for name in ("snrd_total", "cnr", "summary_bg_mad"):
        assert ours.values[name] == pytest.approx(theirs[name], rel=0.05), name

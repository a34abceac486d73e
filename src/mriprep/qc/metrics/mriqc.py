"""MRIQC's metrics of anatomical images: same names, definitions and units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import formulas
from .air import qi_2
from .declared import Better, Found, Metric, Unmeasured, measures, told
from .formulas import Summary
from .scene import TISSUES, Scene

_MRIQC = "MRIQC 24.0; doi:10.1371/journal.pone.0184661"
_NAMES = {"csf": "cerebrospinal fluid", "gm": "grey matter", "wm": "white matter", "bg": "air"}


def _metric(
    name: str, title: str, meaning: str, better: Better, unit: str = "", source: str = _MRIQC
) -> Metric:
    return Metric(name, title, meaning, better, unit, source, "mriqc")


def _of(scene: Scene, name: str) -> Summary:
    found = scene.summaries[name]
    if isinstance(found, str):
        raise Unmeasured(f"{_NAMES[name]}: {found}")
    return found


@measures(
    _metric(
        "cjv", "Coefficient of joint variation",
        "Spread of white and grey matter to the distance of their medians: rises with noise, motion and bias field.",
        "lower", source="doi:10.3389/fninf.2016.00010",
    ),
)  # fmt: skip
def _cjv(scene: Scene) -> Found:
    return {"cjv": formulas.cjv(_of(scene, "wm"), _of(scene, "gm"))}


@measures(
    _metric(
        "cnr", "Contrast to noise",
        "Distance of the medians of white and grey matter to the noise of both and of the air.",
        "higher", source="doi:10.1007/s10278-006-0264-x",
    ),
)  # fmt: skip
def _cnr(scene: Scene) -> Found:
    return {"cnr": formulas.cnr(_of(scene, "wm"), _of(scene, "gm"), _of(scene, "bg").stdv)}


def _snr_metrics(stem: str, what: str, source: str) -> list[Metric]:
    names = {**{t: _NAMES[t] for t in TISSUES}, "total": "the mean of the three"}
    return [
        _metric(f"{stem}_{t}", f"{what}, {word}", _SNR[stem] % word, "higher", source=source)
        for t, word in names.items()
    ]


_SNR = {
    "snr": "Median to standard deviation within the tissue itself: %s.",
    "snrd": "Median of the tissue to the noise of the air, corrected for magnitude images: %s.",
}


@measures(*_snr_metrics("snr", "Signal to noise", _MRIQC))
def _snr(scene: Scene) -> Found:
    return _each_tissue(
        "snr", lambda t: formulas.snr(_of(scene, t).median, _of(scene, t).stdv, _of(scene, t).n)
    )


@measures(*_snr_metrics("snrd", "Signal to noise of the air", "doi:10.1002/jmri.20969"))
def _snrd(scene: Scene) -> Found:
    air = _of(scene, "bg")
    return _each_tissue(
        "snrd", lambda t: formulas.snr_dietrich(_of(scene, t).median, air.mad, air.stdv)
    )


def _each_tissue(stem: str, measure: Callable[[str], float]) -> Found:
    found: dict[str, float | str] = {f"{stem}_{t}": told(measure, t) for t in TISSUES}
    missing = [v for v in found.values() if isinstance(v, str)]
    values = [v for v in found.values() if not isinstance(v, str)]
    found[f"{stem}_total"] = missing[0] if missing else float(np.mean(values))
    return found


@measures(
    _metric(
        "efc", "Entropy focus criterion",
        "Entropy of all intensities, 0 to 1: ghosts and blur of motion spread energy over the image and raise it. "
        "Depends on the field of view.",
        "lower", source="doi:10.1109/42.650886",
    ),
)  # fmt: skip
def _efc(scene: Scene) -> Found:
    return {"efc": formulas.efc(scene.scaled, scene.empty)}


@measures(
    _metric(
        "fber", "Foreground to background energy",
        "Median energy of the head to that of the air about it (the code's median, not the mean of the documentation).",
        "higher", source="doi:10.3389/conf.fnins.2015.91.00047",
    ),
)  # fmt: skip
def _fber(scene: Scene) -> Found:
    return {"fber": formulas.fber(scene.scaled, scene.head, scene.empty)}


@measures(
    _metric(
        "qi_1", "Artefacts in the air (QI1)",
        "Share of the air above the head's base that shines: ghosts, spikes, wrap-around.",
        "lower", source="doi:10.1002/mrm.21992",
    ),
)  # fmt: skip
def _qi_1(scene: Scene) -> Found:
    return {"qi_1": formulas.qi_1(int(scene.air.sum()), int(scene.artifacts.sum()))}


@measures(
    _metric(
        "qi_2", "Misfit of the air's noise (QI2)",
        "Mean distance of the air's distribution from the chi-squared one that fits it best.",
        "lower", source="doi:10.1002/mrm.21992",
    ),
)  # fmt: skip
def _qi_2(scene: Scene) -> Found:
    return {"qi_2": qi_2(scene.raw[scene.hat])}


@measures(
    _metric(
        "inu_range", "Range of the bias field",
        "Distance of the 5th and the 95th percentile of the bias field within the brain.",
        "lower", source="doi:10.1109/TMI.2010.2046908",
    ),
    _metric(
        "inu_med", "Median of the bias field", "Median of the bias field within the brain.",
        "middle", source="doi:10.1109/TMI.2010.2046908",
    ),
)  # fmt: skip
def _inu(scene: Scene) -> Found:
    field = scene.bias[scene.brain].astype(np.float64)
    low, middle, high = (float(v) for v in np.percentile(field, (5, 50, 95)))
    return {"inu_range": abs(high - low), "inu_med": middle}


@measures(
    _metric(
        "wm2max", "White matter to maximum",
        "Median of the white matter to the 99.95th percentile of all voxels "
        "(the code's; the documentation also says 95th): low where fat or vessels outshine the brain.",
        "middle",
    ),
)  # fmt: skip
def _wm2max(scene: Scene) -> Found:
    return {"wm2max": formulas.wm2max(scene.scaled, _of(scene, "wm").median)}


@measures(
    *(
        _metric(
            f"fwhm_{axis}", f"Smoothness, {word}",
            "Full width at half maximum of the image's smoothness within the brain, by first differences "
            "(AFNI's classic 3dFWHMx). Anatomy counts too, so it tells only like scans apart.",
            "lower", "voxels", "doi:10.1002/mrm.1910330508",
        )
        for axis, word in (
            ("x", "left to right"), ("y", "back to front"), ("z", "bottom to top"), ("avg", "mean")
        )
    )
)  # fmt: skip
def _fwhm(scene: Scene) -> Found:
    widths = scene.smoothness
    why = "neighbouring voxels differ as much as any two: smoothness cannot be told"
    found: dict[str, float | str] = {
        f"fwhm_{axis}": w if np.isfinite(w) else why for axis, w in zip("xyz", widths, strict=True)
    }
    found["fwhm_avg"] = float(np.mean(widths)) if np.isfinite(widths).all() else why
    return found


@measures(
    *(
        _metric(
            f"icvs_{t}", f"Volume fraction, {_NAMES[t]}",
            "Share of the tissue in the volume of all three: far off where the segmentation failed.", "middle",
        )
        for t in TISSUES
    )
)  # fmt: skip
def _icvs(scene: Scene) -> Found:
    return {f"icvs_{t}": share for t, share in formulas.fractions(scene.tissue).items()}


@measures(
    *(
        _metric(
            f"rpve_{t}", f"Residual partial volume, {_NAMES[t]}",
            "How far the tissue's probabilities are from 0 and 1. Voxels outside the brain count in MRIQC's code, "
            "so that it depends on the field of view.",
            "lower",
        )
        for t in TISSUES
    )
)  # fmt: skip
def _rpve(scene: Scene) -> Found:
    return {f"rpve_{t}": formulas.rpve(scene.tissue[t]) for t in TISSUES}


@measures(
    *(
        _metric(
            f"tpm_overlap_{t}", f"Overlap with the template, {_NAMES[t]}",
            "Fuzzy Jaccard index of the tissue's map and the template's. MRIQC warps its template without "
            "limits; here it is moved by a rigid or affine transform, which gives lower numbers.",
            "higher",
        )
        for t in TISSUES
    )
)  # fmt: skip
def _overlap(scene: Scene) -> Found:
    if not scene.what.template_tissues:
        raise Unmeasured("there are no tissue maps of a template")
    found: dict[str, float | str] = {}
    for t in TISSUES:
        expected = scene.expected.get(t)
        found[f"tpm_overlap_{t}"] = (
            f"the template has no map of {_NAMES[t]}"
            if expected is None
            else formulas.overlap(scene.tissue[t], expected.chances, expected.box)
        )
    return found


_STATISTICS = {
    "mean": "Mean", "stdv": "Standard deviation", "median": "Median",
    "mad": "Median absolute deviation", "p05": "5th percentile", "p95": "95th percentile",
    "k": "Kurtosis", "n": "Number of voxels",
}  # fmt: skip


@measures(
    *(
        _metric(
            f"summary_{t}_{s}", f"{word}, {_NAMES[t]}",
            f"{word} of the {_NAMES[t]}, bias field removed, the white matter scaled to 1000."
            if s != "n" else f"Sum of the probabilities of {_NAMES[t]}.",
            "none",
        )
        for t in ("bg", *TISSUES)
        for s, word in _STATISTICS.items()
    )
)  # fmt: skip
def _summary(scene: Scene) -> Found:
    found: dict[str, float | str] = {}
    for tissue, summary in scene.summaries.items():
        for statistic in _STATISTICS:
            found[f"summary_{tissue}_{statistic}"] = (
                summary if isinstance(summary, str) else getattr(summary, statistic)
            )
    return found


@measures(
    *(
        _metric(f"size_{a}", f"Size along {a}", "Voxels along the axis to the right, front or top.", "none", "voxels")
        for a in "xyz"
    ),
    *(
        _metric(
            f"spacing_{a}", f"Spacing along {a}", "Voxel size along the axis to the right, front or top.",
            "none", "mm",
        )
        for a in "xyz"
    ),
)  # fmt: skip
def _grid(scene: Scene) -> Found:
    found: dict[str, float | str] = {
        f"size_{a}": float(n) for a, n in zip("xyz", scene.grid.shape, strict=True)
    }
    found.update({f"spacing_{a}": s for a, s in zip("xyz", scene.spacing, strict=True)})
    return found

"""The page about the metrics, written from their declarations: ``python -m mriprep.qc.metrics.page``."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from . import METRICS, Metric

_HEAD = """# Metrics of image quality

What `mriprep.qc.metrics.measure` measures of an image as the scanner gave it: MRIQC's metrics of anatomical
images, and what they lack. This page is written from the code: `python -m mriprep.qc.metrics.page > docs/metrics.md`.

A number that cannot be measured is missing, with the reason; it is never NaN or infinite. Axes are those of the image turned to RAS
without interpolation: x to the right, y to the front, z to the top. Nothing is drawn at random.

## As MRIQC

Names, definitions and units are those of [MRIQC](https://mriqc.readthedocs.io) 24.0.2. `tests/interop/test_mriqc.py` holds the
values against those that MRIQC's own classes give for the same arrays (`tests/interop/mriqc_reference.py` makes them in an
environment of its own: MRIQC wants numpy below 2 and MarkupSafe 2.0). Where its documentation and its code differ, the code is
followed:

- `wm2max` divides by the 99.95th percentile, not the 95th;
- `fber` is a ratio of medians, not of means;
- `cjv` takes median absolute deviations, not standard deviations;
- `rpve_*` counts voxels outside the brain, so that it depends on the field of view;
- `fwhm_*` is in voxels: AFNI's classic estimate by first differences, on the image within the brain mask, made anew here.

What differs on purpose:

- **Brain mask, tissues and bias field** are mriprep's, not SynthStrip's, Atropos' and N4's of ANTs: metrics of tissues are of one
  kind, but not of one number with MRIQC's.
- **The head's mask** follows MRIQC's steps. Two slips of its code are not followed: it marks the first two sagittal slices as
  head, and fills the brightest voxels with random noise. Images of more than three million voxels have their gradient taken at
  every second voxel.
- **The hat** (air above the plane through glabella and inion) uses the landmarks through the template's transform. Without a
  transform the plane lies 30 mm above the brain's lowest point in front, 10 mm behind: an approximation.
- **`qi_2`** counts all voxels in fine bins, where MRIQC draws 300 000 of them.
- **`tpm_overlap_*`** needs a template's tissue maps; they are moved by the transform that there is, rigid or affine, where MRIQC
  warps: lower numbers.
- MRIQC's stand-ins (-1, and 0 for `qi_2`) are missing here.

"""

_OURS = """## Beyond MRIQC

Of the image alone, most of them; ranges that are usual are the gates' business, not this page's. Limits:

- Ghosts, ringing and noise are looked for in the air. Scanners, masks and defacing that set it to 0 hide them: they are then
  missing (`empty_air` tells).
- `left_right` needs a template that is not symmetric. A header that is wrong cannot be told from voxels with certainty.
- `contrast_order` without a template's tissue maps asks the image's own segmentation, which followed the label:
  `rim_to_core` does not. A T1w image has FLAIR's order (fluid is darkest in both): its `rim_to_core` is lower.
- `kspace_*` sees a sharp edge of the spectrum. An image that was smoothed or interpolated linearly has none; its `noise_correlation_*` is
  high.
- Slices are those across the thickest axis, else the last axis of the file.

"""


def page() -> str:
    """The page in Markdown."""
    groups = {g: [m for m in METRICS.values() if m.group == g] for g in ("mriqc", "mriprep")}
    return _HEAD + _table(groups["mriqc"]) + "\n" + _OURS + _table(groups["mriprep"])


def _table(metrics: Iterable[Metric]) -> str:
    rows = ["| name | what | better | unit | source |", "|---|---|---|---|---|"]
    for m in metrics:
        title = f"**{m.title}.** {m.meaning}"
        rows.append(f"| `{m.name}` | {title} | {_WAY[m.better]} | {m.unit} | {m.source} |")
    return "\n".join(rows) + "\n"


_WAY = {"higher": "higher", "lower": "lower", "middle": "neither extreme", "none": "says nothing"}


if __name__ == "__main__":
    sys.stdout.write(page())

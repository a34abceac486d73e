"""Numbers about the quality of an image: MRIQC's, and what they lack.

>>> from mriprep.qc.metrics import METRICS
>>> METRICS["cjv"].better
'lower'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

# Importing a module declares its metrics: their order is this one.
from . import content, kspace, motion, mriqc, slices  # noqa: F401
from .declared import Metric, Unmeasured, every_measure, every_metric
from .scene import Measurable, Scene

__all__ = ["METRICS", "Measurable", "Measured", "Metric", "measure"]

#: What every number means, in the order of the values.
METRICS: Mapping[str, Metric] = every_metric()


@dataclass(frozen=True)
class Measured:
    """What was measured of an image.

    Parameters
    ----------
    values : mapping of str to float
        Finite numbers, in the order of :data:`METRICS`.
    missing : mapping of str to str
        Names without a value, and why.
    """

    values: Mapping[str, float]
    missing: Mapping[str, str]


def measure(m: Measurable) -> Measured:
    """Measure all that can be measured of an image.

    What cannot be measured is missing, with the reason; no value is ever NaN
    or infinite. Nothing is drawn at random: the same voxels give the same
    numbers.

    Parameters
    ----------
    m : Measurable

    Returns
    -------
    Measured
        Each name of :data:`METRICS` is either in its values or in what is missing.
    """
    scene = Scene(m)
    found: dict[str, float | str] = {}
    for names, function in every_measure():
        try:
            results = function(scene)
        except Unmeasured as reason:
            results = dict.fromkeys(names, str(reason))
        found.update({name: results[name] for name in names})
    values: dict[str, float] = {}
    missing: dict[str, str] = {}
    for name in METRICS:
        value = found[name]
        if isinstance(value, str):
            missing[name] = value
        elif np.isfinite(value):
            values[name] = float(value)
        else:
            missing[name] = f"the result is {value}: the image does not allow to measure it"
    return Measured(MappingProxyType(values), MappingProxyType(missing))

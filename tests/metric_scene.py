"""What metrics are measured on: the digital head."""

from __future__ import annotations

from functools import cache

import numpy as np

from mriprep.phantom import head
from mriprep.qc.metrics import Measurable
from mriprep.qc.metrics.declared import every_measure, told
from mriprep.qc.metrics.scene import Scene


@cache
def phantom(contrast="T1w", noise=0.02, spacing=3, **more):
    return head(contrast, spacing=spacing, noise=noise, bias=0.2, seed=3, **more)


def measurable(scan=None, image=None, **changes):
    """Of a scan of the phantom, its voxels perhaps others."""
    scan = scan or phantom()
    image = scan.image if image is None else scan.image.replace(np.asarray(image, np.float32))
    given = {
        "image": image,
        "corrected": image.replace(image.floats() / scan.bias_field.data),
        "brain": scan.brain,
        "tissues": scan.probabilities,
        "bias": scan.bias_field,
        "pose": scan.pose,
        "contrast": scan.facts["contrast"],
    }
    return Measurable(**{**given, **changes})


def values(*names, **given):
    """Some metrics, without taking the others' time."""
    scene = Scene(measurable(**given))
    found = {}
    for family, function in every_measure():
        if set(family) & set(names):
            results = told(function, scene)
            found.update(dict.fromkeys(family, results) if isinstance(results, str) else results)
    return [found[n] for n in names]

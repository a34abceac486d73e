"""A digital head with known truth (pose, mask, tissues, bias field), for demos, tests and plugins.

>>> from mriprep.phantom import head
>>> scan = head("T1w", age=7.5, spacing=4, rotation=(5, 0, 8))
>>> scan.image.grid.orientation
'RAS'
"""

from .anatomy import TISSUES
from .dicom import write_dicom
from .model import (
    Phantom,
    head,
    intracranial_volume,
    landmarks,
    template,
    template_brain,
)
from .sampling import CONTRASTS

__all__ = [
    "CONTRASTS",
    "TISSUES",
    "Phantom",
    "head",
    "intracranial_volume",
    "landmarks",
    "template",
    "template_brain",
    "write_dicom",
]

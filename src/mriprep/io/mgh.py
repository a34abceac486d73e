"""FreeSurfer's MGH and MGZ headers."""

from __future__ import annotations

import struct

import numpy as np

from mriprep.core import InputError

from .header import Block, Header, Oddity, geometry_fault, shape_fault, trimmed
from .sniff import Content

#: Bytes before the voxels, whatever the header uses of them.
_HEADER_BYTES = 284

_TYPES = {0: ">u1", 1: ">i4", 3: ">f4", 4: ">i2", 10: ">u2"}


def parse(content: Content) -> Header:
    """Read an MGH header: https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat.

    Raises
    ------
    InputError
        If it is truncated.
    """
    path = content.path
    if len(content.head) < _HEADER_BYTES:
        raise InputError(f"{path} is truncated: it ends within its header")
    _, *sizes, kind, _, oriented = struct.unpack_from(">7ih", content.head)
    numbers = np.array(struct.unpack_from(">15f", content.head, 30), dtype=np.float64)
    oddities: tuple[Oddity, ...] = ()
    if not oriented:
        # FreeSurfer's own default: 1 mm coronal slices about the origin.
        numbers = np.array([1, 1, 1, -1, 0, 0, 0, 0, -1, 0, 1, 0, 0, 0, 0], dtype=np.float64)
        oddities = (
            Oddity(
                "the header does not say how the image lies in the patient (goodRASFlag is 0)",
                "1 mm coronal slices were assumed; left and right may be swapped",
                "convert it again from the DICOM files, or check it in a viewer",
            ),
        )
    shape = trimmed(tuple(sizes))
    fault = shape_fault(path, shape)
    faults: list[InputError] = [fault] if fault else []
    affine = np.eye(4)
    affine[:3, :3] = numbers[3:12].reshape(3, 3).T * numbers[:3]
    # FreeSurfer's centre is voxel n / 2, half a voxel beyond the middle.
    affine[:3, 3] = numbers[12:] - affine[:3, :3] @ (np.array(sizes[:3]) / 2)
    lost = geometry_fault(path, affine, numbers[:3])
    faults += [lost] if lost else []
    return Header(
        path=path,
        format="MGZ" if content.packed else "MGH",
        shape=shape,
        dtype=np.dtype(_TYPES[kind]),
        block=Block(path, 0, "gzip" if content.packed else "raw", _HEADER_BYTES),
        affine=affine,
        facts={"goodRASFlag": int(oriented)},
        oddities=oddities,
        faults=tuple(faults),
    )

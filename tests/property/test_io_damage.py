"""However a file is damaged, it is read or refused; nothing else happens, and memory stays small."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import hypothesis.strategies as st
import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings

from mriprep.core import InputError, Transform, Volume
from mriprep.io.images import read_grid, read_image, write_image
from mriprep.io.inspect import inspect_image
from mriprep.io.transforms import read_transform, write_transform

AFFINE = Transform.rigid((9, 5, 30), (1, 2, 3)).matrix


def _images() -> dict[str, bytes]:
    data = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        for ending in (".nii", ".nii.gz", ".nrrd", ".mha"):
            made[ending] = write_image(
                Volume(data, AFFINE), Path(folder) / f"a{ending}"
            ).read_bytes()
        for name, image in {
            "2.nii": nib.Nifti2Image(data, AFFINE),
            ".mgh": nib.MGHImage(data, AFFINE.astype("f4")),
        }.items():
            nib.save(image, Path(folder) / f"a{name}")
            made[name] = (Path(folder) / f"a{name}").read_bytes()
    return made


IMAGES = _images()
changes = st.lists(st.tuples(st.integers(0, 560), st.integers(0, 255)), min_size=1, max_size=6)


@pytest.mark.parametrize("ending", IMAGES)
@settings(max_examples=120, deadline=None)
@given(changes, st.integers(0, 200))
def test_damaged_images(ending: str, changes: list[tuple[int, int]], cut: int) -> None:
    content = bytearray(IMAGES[ending])
    for position, value in changes:
        content[position % len(content)] = value
    content = content[: len(content) - (cut if cut < 60 else 0)]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / f"a{ending}"
        path.write_bytes(content)
        for read in (read_grid, read_image, inspect_image):
            try:
                read(path)
            except InputError as error:
                assert str(path) in error.message  # noqa: PT017


@pytest.mark.parametrize("ending", [".tfm", ".mat"])
@settings(max_examples=200, deadline=None)
@given(changes, st.integers(0, 200))
def test_damaged_transforms(ending: str, changes: list[tuple[int, int]], cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_transform(Transform(AFFINE), Path(folder) / f"a{ending}")
        content = bytearray(path.read_bytes())
        for position, value in changes:
            content[position % len(content)] = value
        path.write_bytes(content[: len(content) - (cut if cut < 60 else 0)])
        try:
            read_transform(path)
        except InputError as error:
            assert str(path) in error.message  # noqa: PT017

"""Transform files: what is written, read and refused. ITK's own view of them is in tests/interop."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mriprep.core import GeometryError, InputError, OutputError, Transform
from mriprep.io.transforms import read_transform, write_transform

RIGID = Transform.rigid((11, -23, 41), (5, -7, 13), (20, 30, 40))
AFFINE = Transform(RIGID.matrix @ np.diag([1.1, 0.9, -1.2, 1]))
HEAD = "#Insight Transform File V1.0\n#Transform 0\n"


@pytest.mark.parametrize("ending", [".tfm", ".txt", ".mat"])
@pytest.mark.parametrize("transform", [RIGID, AFFINE, Transform(np.eye(4))])
def test_there_and_back_to_the_last_digit(
    tmp_path: Path, ending: str, transform: Transform
) -> None:
    path = write_transform(transform, tmp_path / "new" / f"a{ending}")
    back = read_transform(path)
    assert np.array_equal(back.matrix, transform.matrix)
    assert back.reference is None
    assert back.moving is None
    assert back.meta["source"] == str(path)
    again = write_transform(back, tmp_path / f"b{ending}")
    assert again.read_bytes() == path.read_bytes()


def test_the_text_is_in_lps(tmp_path: Path) -> None:
    shift = Transform.rigid(translation=(1, 2, 3))
    text = write_transform(shift, tmp_path / "a.tfm").read_text()
    assert text == (
        f"{HEAD}Transform: AffineTransform_double_3_3\n"
        "Parameters: 1.0 0.0 0.0 0.0 1.0 0.0 0.0 0.0 1.0 -1.0 -2.0 3.0\n"
        "FixedParameters: 0.0 0.0 0.0\n"
    )


def test_the_binary_is_recognised_whatever_its_name(tmp_path: Path) -> None:
    path = write_transform(AFFINE, tmp_path / "a.mat")
    path.rename(tmp_path / "a.txt")
    assert np.array_equal(read_transform(tmp_path / "a.txt").matrix, AFFINE.matrix)


def test_big_endian_and_single_precision_binaries(tmp_path: Path) -> None:
    numbers = np.array([1, 0, 0, 0, 1, 0, 0, 0, 1, -1, -2, 3.0])
    name = b"AffineTransform_float_3_3\0"
    content = struct.pack(">5i", 1010, 12, 1, 0, len(name)) + name + numbers.astype(">f4").tobytes()
    content += struct.pack(">5i", 1010, 3, 1, 0, 6) + b"fixed\0" + bytes(12)
    (tmp_path / "a.mat").write_bytes(content)
    assert_allclose(read_transform(tmp_path / "a.mat").matrix[:3, 3], (1, 2, 3))


@pytest.mark.parametrize("name", ["a.h5", "a.xfm", "a", "a.lta"])
def test_other_extensions_are_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"accepted: \.tfm, \.txt, \.mat"):
        write_transform(RIGID, tmp_path / "new" / name)
    assert list(tmp_path.iterdir()) == []


def one(kind: str, parameters: str = "", fixed: str = "0 0 0") -> str:
    return f"{HEAD}Transform: {kind}\nParameters: {parameters}\nFixedParameters: {fixed}\n"


IDENTITY = "1 0 0 0 1 0 0 0 1 0 0 0"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("hello", "not an ITK transform"),
        ("\x89HDF\r\n", "HDF5"),
        ('(Transform "EulerTransform")\n', "elastix parameter file"),
        ("1 0 0 2\n0 1 0 3\n0 0 1 4\n0 0 0 1\n", "FSL"),
        (HEAD, "names no transform"),
        (one("DisplacementFieldTransform_double_3_3", "1 2"), "DisplacementFieldTransform"),
        (one("BSplineTransform_double_3_3", "1 2"), "not a linear transform"),
        (one("Euler2DTransform_double_2_2", "0 0 0", "0 0"), "not a transform of three dimensions"),
        (one("AffineTransform_double_2_2", "1 0 0 1 0 0", "0 0"), "three dimensions"),
        (one("AffineTransform_double_3_3", "1 0 0"), "12 parameters, got 3"),
        (one("AffineTransform_double_3_3", IDENTITY, "0 0"), "2 fixed"),
        (one("AffineTransform_double_3_3", "1 0 x"), "damaged transform file"),
        (one("AffineTransform_double_3_3", IDENTITY) + one("TranslationTransform_double_3_3", "1 2 3"),
         "2 transforms and does not say how"),
        (one("CompositeTransform_double_3_3"), "composite without its parts"),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.txt").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=words):
        read_transform(tmp_path / "a.txt")


@pytest.mark.parametrize("numbers", ["0 0 0 0 1 0 0 0 1 0 0 0", "nan 0 0 0 1 0 0 0 1 0 0 0"])
def test_matrices_that_cannot_be(tmp_path: Path, numbers: str) -> None:
    (tmp_path / "a.tfm").write_text(one("AffineTransform_double_3_3", numbers))
    with pytest.raises(GeometryError, match=r"a\.tfm"):
        read_transform(tmp_path / "a.tfm")


def test_damaged_binaries(tmp_path: Path) -> None:
    path = write_transform(RIGID, tmp_path / "a.mat")
    content = path.read_bytes()
    for size in (60, 100, len(content) - 40, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match="damaged transform file"):
            read_transform(path)
    path.write_bytes(content.replace(b"fixed", b"mixed"))
    with pytest.raises(InputError, match="fixed parameters"):
        read_transform(path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "none.tfm", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_transform(path)

"""Headers explained in words, and the oddities that are found."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mriprep.core import InputError, Transform, Volume
from mriprep.io.images import read_image, write_image
from mriprep.io.inspect import Inspection, inspect_image

RNG = np.random.default_rng(3)


def noise(shape: tuple[int, ...] = (20, 22, 24)) -> np.ndarray:
    return RNG.normal(500, 50, shape).astype(np.float32)


def inspected(tmp_path: Path, data: np.ndarray, affine: np.ndarray | None = None) -> Inspection:
    volume = Volume(data, np.eye(4) if affine is None else affine)
    return inspect_image(write_image(volume, tmp_path / "sub-1_T1w.nii.gz"))


def oddities(inspection: Inspection) -> str:
    return "\n".join(oddity.what for oddity in inspection.oddities)


def fact(inspection: Inspection, name: str) -> str:
    return next(f.text for f in inspection.facts if f.name == name)


def test_a_sound_image_has_facts_and_no_oddities(tmp_path: Path) -> None:
    found = inspected(tmp_path, noise(), np.diag([1.0, 1, 1, 1]))
    assert found.readable
    assert found.oddities == ()
    assert fact(found, "size") == "20 x 22 x 24 voxels"
    assert fact(found, "spacing") == "1 x 1 x 1 mm, the same in all directions"
    assert fact(found, "field of view") == "20 x 22 x 24 mm"
    assert fact(found, "contrast") == "T1w, by the file's name"
    assert fact(found, "content") == "an image"
    assert fact(found, "data type") == "float32: 32-bit floating-point numbers; not scaled"
    assert fact(found, "obliquity") == "none"
    assert fact(found, "orientation") == (
        "RAS: axis 0 runs from the patient's left to right; axis 1 runs from back to front;"
        " axis 2 runs from the feet to the head"
    )


def test_it_is_plain_data(tmp_path: Path) -> None:
    data = noise()
    data[0, 0, 0] = np.nan
    plain = inspected(tmp_path, data).to_dict()
    text = json.dumps(plain, allow_nan=False)
    assert set(json.loads(text)) == {"source", "readable", "facts", "oddities"}
    assert set(plain["oddities"][0]) == {"what", "consequence", "remedy"}
    assert all(oddity[key] for oddity in plain["oddities"] for key in oddity)


def test_values_are_counted(tmp_path: Path) -> None:
    data = noise()
    data[0, 0, :4] = (np.nan, np.inf, -7, 0)
    found = inspected(tmp_path, data)
    values = next(f.value for f in found.facts if f.name == "values")
    assert values == {
        "minimum": -7.0,
        "maximum": float(data[np.isfinite(data)].max()),
        "voxels": data.size,
        "nan": 1,
        "infinite": 1,
        "negative": 1,
        "zero": 1,
    }
    assert "2 voxels are NaN or infinite" in oddities(found)


@pytest.mark.parametrize(
    ("affine", "words"),
    [
        (np.diag([-1.0, 1, 1, 1]), "left-handed (LAS)"),
        (np.diag([1.0, 1, 3, 1]), "3.0 times as long as they are wide"),
        (Transform.rigid((0, 0, 9)).matrix, "oblique by 9.0°"),
        (np.diag([0.05, 0.05, 0.05, 1]), "0.05 x 0.05 x 0.05 mm are unusual"),
        (np.diag([12.0, 12, 12, 1]), "12 x 12 x 12 mm are unusual"),
    ],
)
def test_odd_grids(tmp_path: Path, affine: np.ndarray, words: str) -> None:
    found = inspected(tmp_path, noise(), affine)
    assert words in oddities(found)
    assert len(found.oddities) == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros((5, 6, 7), np.int16), "every voxel is 0"),
        (np.full((5, 6, 7), 3.5, np.float32), "every voxel is 3.5"),
        (np.full((5, 6, 7), np.nan, np.float32), "every voxel is NaN"),
    ],
)
def test_nothing_to_see(tmp_path: Path, data: np.ndarray, words: str) -> None:
    assert words in oddities(inspected(tmp_path, data))


@pytest.mark.parametrize(("dtype", "scale"), [(np.int16, 60), (np.uint8, 0.45), (np.uint16, 120)])
def test_clipped_integers(tmp_path: Path, dtype: type, scale: float) -> None:
    limits = np.iinfo(dtype)
    data = np.clip(noise((32, 32, 32)) * scale, limits.min, limits.max).astype(dtype)
    clipped = int((data == limits.max).sum())
    found = inspected(tmp_path, data)
    assert f"{clipped} voxels are at the limit of {np.dtype(dtype).name}" in oddities(found)
    fitted = data // 2
    fitted[0, 0, 0] = limits.max  # as rescaling to the full range leaves it
    assert inspected(tmp_path, fitted).oddities == ()


def test_masks_and_labels_are_recognised(tmp_path: Path) -> None:
    ball = np.linalg.norm(np.indices((24, 24, 24)) - 11.5, axis=0)
    labels = np.where(ball < 10, 1 + np.floor(ball / 4), 0).astype(np.uint8)
    assert fact(inspected(tmp_path, (ball < 9).astype(np.uint8)), "content") == "a mask"
    assert fact(inspected(tmp_path, labels), "content") == "labels"
    assert inspected(tmp_path, labels * 80).oddities == ()


def test_a_series_is_explained_by_its_first_volume(tmp_path: Path) -> None:
    data = noise((6, 7, 8, 5))
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "a.nii")
    found = inspect_image(tmp_path / "a.nii")
    assert found.readable
    assert fact(found, "size") == "6 x 7 x 8 voxels, 5 volumes (4D)"
    assert "5 volumes" in oddities(found)
    assert "--volume" in found.oddities[0].remedy
    values = next(f.value for f in found.facts if f.name == "values")
    assert values["maximum"] == data[..., 0].max()


def test_a_slope_of_0(tmp_path: Path) -> None:
    path = write_image(Volume(noise(), np.eye(4)), tmp_path / "a.nii")
    raw = bytearray(path.read_bytes())
    raw[112:116] = bytes(4)
    path.write_bytes(raw)
    assert "slope (scl_slope) is 0" in oddities(inspect_image(path))


def test_what_reading_warns_about_is_listed_with_a_remedy(tmp_path: Path) -> None:
    image = nib.Nifti1Image(noise(), None)
    image.set_sform(np.diag([0.001, 0.001, 0.001, 1]), 1)
    image.set_qform(
        Transform.rigid((0, 0, 9), (0.001, 0, 0)).matrix @ np.diag([0.001] * 3 + [1]), 1
    )
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "a.nii")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_image(tmp_path / "a.nii")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = inspect_image(tmp_path / "a.nii")
    told = [str(w.message) for w in caught]
    assert len(told) == 2
    for oddity, text in zip(found.oddities, told, strict=True):
        assert text.endswith(str(oddity))
        assert oddity.remedy
    assert "metres" in oddities(found)
    assert "disagree by" in oddities(found)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"pixdim": [1, 0, 1, 1, 1, 1, 1, 1]}, "does not say where its voxels lie"),
        ({"datatype": 32}, "complex numbers"),
        ({"dim": [2, 20, 22, 1, 1, 1, 1, 1]}, "2D image"),
        ({"dim": [3, 20, 22, 9999, 1, 1, 1, 1]}, "truncated or damaged"),
    ],
)
def test_what_cannot_be_read_is_explained_all_the_same(
    tmp_path: Path, fields: dict[str, object], words: str
) -> None:
    header = nib.Nifti1Header()
    path = write_image(Volume(noise(), np.eye(4)), tmp_path / "a.nii")
    raw = bytearray(path.read_bytes())
    header = np.frombuffer(raw[:348], header.structarr.dtype).copy()
    for name, value in {"sform_code": 0, **fields}.items():
        header[name] = value
    path.write_bytes(header.tobytes() + raw[348:])
    found = inspect_image(path)
    assert not found.readable
    assert words in oddities(found)
    assert fact(found, "format") == "NIfTI-1"
    assert fact(found, "header")


def test_damage_among_the_voxels_is_an_oddity(tmp_path: Path) -> None:
    path = write_image(Volume(noise(), np.eye(4)), tmp_path / "a.nii.gz")
    path.write_bytes(path.read_bytes()[:-2000])
    found = inspect_image(path)
    assert not found.readable
    assert "truncated" in oddities(found)
    assert fact(found, "spacing")


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"hello")
    with pytest.raises(InputError, match="not an image"):
        inspect_image(tmp_path / "a.nii")


# -- real scans ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sub", ["sub-01", "sub-02"])
@pytest.mark.parametrize("contrast", ["T1w"])
def test_a_stripped_head_is_told_from_a_whole_one(
    data: Path, tmp_path: Path, sub: str, contrast: str
) -> None:
    folder = data / "nifti" / "older-adults" / sub
    head = read_image(folder / f"{contrast}.nii.gz")
    inside = read_image(folder / "dlmuse.nii.gz", role="mask").data
    brain = write_image(head.replace(head.data * inside), tmp_path / "brain.nii.gz")
    assert "skull-stripped" not in oddities(inspect_image(folder / f"{contrast}.nii.gz"))
    assert "skull-stripped" in oddities(inspect_image(brain))


@pytest.mark.parametrize("template", ["colin27", "mni152-2009"])
def test_templates_of_brain_and_head(data: Path, template: str) -> None:
    folder = data / "templates" / template
    assert "skull-stripped" in oddities(inspect_image(folder / "brain.nii.gz"))
    assert "skull-stripped" not in oddities(inspect_image(folder / "head.nii.gz"))


def test_a_glioma_patient_s_thick_oblique_slices(data: Path) -> None:
    found = inspect_image(data / "nifti" / "tcga-fg6692" / "FLAIR.nii.gz")
    told = oddities(found)
    assert "6.1 times as long" in told
    assert "oblique by 16.9°" in told
    assert "left-handed (LAS)" in told
    assert fact(found, "contrast") == "FLAIR, by the file's name"

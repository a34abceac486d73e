"""Reading a session: names to contrasts, what came with the scans, and what must not be mixed."""

from __future__ import annotations

import json
import types

import numpy as np
import pytest

import mriprep as mp
from mriprep.core import Grid, InputError, Transform, Volume
from mriprep.intake_session import companions, headers, read_session
from mriprep.phantom.dicom import write_dicom

GRID = Grid((12, 10, 9), Transform.rigid((3, -2, 4)).matrix @ np.diag([2.0, 2, 3, 1]))
OTHER = Grid((8, 14, 9), Transform.rigid((1, 2, 0)).matrix @ np.diag([3.0, 2, 2, 1]))


def scan(path, grid=GRID, facts=None, seed=0):
    data = np.random.default_rng(seed).integers(0, 900, grid.shape).astype(np.int16)
    mp.write(Volume(data, grid), path)
    if facts is not None:
        path.with_name(path.name.removesuffix(".nii.gz") + ".json").write_text(json.dumps(facts))
    return path


def labels(path, grid=GRID, value=2):
    data = np.zeros(grid.shape, np.uint8)
    data[3:6, 3:6, 3:6] = value
    return mp.write(Volume(data, grid, "labels"), path)


@pytest.mark.parametrize(
    ("names", "contrasts", "case"),
    [
        (("sub-3_T1w", "sub-3_ce-gadolinium_T1w", "sub-3_FLAIR"), ["T1c", "T1w", "FLAIR"], "sub-3"),
        (("BraTS_007_t1", "BraTS_007_t1ce", "BraTS_007_t2", "BraTS_007_flair"),
         ["T1c", "T1w", "T2w", "FLAIR"], "sub-BraTS007"),
        (("G-9-t1n", "G-9-t1c", "G-9-t2w", "G-9-t2f"), None, None),
        (("p_t1n", "p_t1c", "p_t2w", "p_t2f"), ["T1c", "T1w", "T2w", "FLAIR"], "sub-p"),
        (("T1w", "T2w"), ["T1w", "T2w"], "sub-visit"),
        (("sub-1_ses-2_PDw",), ["PDw"], "sub-1_ses-2"),
    ],
)  # fmt: skip
def test_a_folder(tmp_path, names, contrasts, case):
    folder = tmp_path / "visit"
    for i, name in enumerate(names):
        scan(folder / f"{name}.nii.gz", seed=i)
    if contrasts is None:
        with pytest.raises(InputError, match="do not say their contrast"):
            read_session(folder)
        return
    found, given = read_session(folder)
    assert list(found) == contrasts
    assert found.name == case
    assert given == {}
    grids, _ = headers([folder])
    assert list(grids) == contrasts
    assert all(g.matches(GRID) for g in grids.values())


def test_files(tmp_path):
    files = [
        scan(tmp_path / "a" / "FLAIR.nii.gz"),
        scan(tmp_path / "b" / "sub-2_T2w.nii.gz", OTHER),
    ]
    case, _ = read_session(files, name="7")
    assert (case.name, list(case)) == ("sub-7", ["T2w", "FLAIR"])
    assert case["T2w"].grid.matches(OTHER)
    case, _ = read_session(str(files[1]))
    assert (case.name, list(case)) == ("sub-2", ["T2w"])
    with pytest.raises(InputError, match="two scans of the session are FLAIR"):
        read_session([files[0], scan(tmp_path / "c" / "FLAIR.nii.gz")])
    with pytest.raises(InputError, match="at least one"):
        read_session([])


def test_what_lies_beside_the_scans(tmp_path):
    scan(tmp_path / "sub-1_T1w.nii.gz")
    scan(tmp_path / "sub-1_FLAIR.nii.gz", OTHER)
    labels(tmp_path / "sub-1_T1w_dseg.nii.gz")
    labels(tmp_path / "sub-1_desc-lesion_mask.nii.gz", OTHER, 1)  # by its grid
    labels(tmp_path / "FLAIR_brain-mask.nii.gz", GRID, 1)  # by its name
    labels(tmp_path / "sub-2_dseg.nii.gz")  # somebody else's
    labels(tmp_path / "sub-1_other.nii.gz")  # nothing that is known
    labels(tmp_path / "sub-1_seg.nii.gz", GRID.with_spacing(1))
    with pytest.warns(mp.MriprepWarning, match=r"'sub-1_seg\.nii\.gz' lies beside the scans"):
        _, given = read_session(tmp_path)
    assert {c: sorted(v) for c, v in given.items()} == {
        "T1w": ["labels"],
        "FLAIR": ["FLAIRBrain", "FLAIRLesion"],
    }
    assert given["T1w"]["labels"].role == "labels"
    assert given["FLAIR"]["FLAIRLesion"].role == "mask"


def test_companions_of_the_command_line(tmp_path):
    scan(tmp_path / "T1w.nii.gz")
    scan(tmp_path / "T2w.nii.gz")
    case, _ = read_session(tmp_path)
    path = labels(tmp_path / "x.nii.gz")
    given = companions([path, f"T2w={path}"], "labels", case, "T1w")
    assert set(given) == {"T1w", "T2w"}
    with pytest.raises(InputError, match="the session has no FLAIR"):
        companions([f"FLAIR={path}"], "labels", case, "T1w")
    with pytest.raises(InputError, match="two files"):
        companions([path, path], "labels", case, "T1w")


# -- one person -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (("sub-1_T1w", {}), ("sub-2_FLAIR", {}), "FLAIR is of sub-2"),
        (("sub-1_ses-1_T1w", {}), ("sub-1_ses-2_FLAIR", {}), "not of one session"),
        (("T1w", {"PatientAge": "040Y"}), ("FLAIR", {"PatientAge": "060Y"}), "of the age in years"),
        (("T1w", {"PatientSex": "F"}), ("FLAIR", {"PatientSex": "M"}), "of the sex"),
    ],
)
def test_scans_of_two_people(tmp_path, first, second, message):
    files = [scan(tmp_path / f"{n}.nii.gz", facts=f) for n, f in (first, second)]
    with pytest.raises(InputError, match=message) as caught:
        read_session(files)
    assert "one session of one person" in caught.value.hint


def exam(folder, contrast, name, number, identifier, seed=0):
    import pydicom

    data = np.random.default_rng(seed).integers(0, 900, (40, 36, 30)).astype(np.int16)
    image = Volume(data, np.diag([3.0, 3, 3, 1]))
    phantom = types.SimpleNamespace(
        image=image,
        grid=image.grid,
        facts={"contrast": contrast, "age_years": None, "seed": number},
    )
    write_dicom(phantom, folder / str(number))
    for file in (folder / str(number)).iterdir():
        ds = pydicom.dcmread(file)
        ds.SeriesNumber, ds.PatientID, ds.PatientName = number, identifier, name
        ds.save_as(file)
    return folder / str(number)


def test_a_folder_of_dicom(tmp_path):
    exam(tmp_path / "exam", "T1w", "Roe^J", 1, "4711")
    exam(tmp_path / "exam", "FLAIR", "Roe^J", 2, "4711", seed=1)
    case, _ = read_session(tmp_path / "exam")
    assert list(case) == ["T1w", "FLAIR"]
    grids, _ = headers([tmp_path / "exam"])
    assert list(grids) == ["T1w", "FLAIR"]
    assert not np.array_equal(case["T1w"].data, case["FLAIR"].data)


def test_dicom_of_two_patients(tmp_path):
    exam(tmp_path / "exam", "T1w", "Roe^J", 1, "4711")
    exam(tmp_path / "exam", "FLAIR", "Doe^J", 2, "4712", seed=1)
    with pytest.raises(InputError, match="of different patients") as caught:
        read_session(tmp_path / "exam")
    for private in ("4711", "4712", "Roe", "Doe"):
        assert private not in str(caught.value)

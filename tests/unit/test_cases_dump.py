"""A dump of several people: codes, sessions, the choice, the table that is edited and fed back."""

from __future__ import annotations

import csv
import json
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner

from mriprep.cases import list_cases, open_case
from mriprep.cases.selection import from_selection
from mriprep.cli.scan import scan
from mriprep.core import InputError, MriprepWarning
from mriprep.io.dicom_dump import read_dump
from mriprep.io.dicom_scan import read_headers

UID = "1.2.826.0.1.3680043.8.498."
NAMES = {"A": "Mustermann^Erika", "B": "Doe^John"}


def series(folder: Path, patient: str, study: int, number: int, **about) -> None:
    """A small MR series; values by keyword, `slices`, `gap` (mm) and `noise` besides."""
    count, gap = about.pop("slices", 40), about.pop("gap", 1.0)
    rng = np.random.default_rng(hash((patient, study, number)) % 2**32)
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        ds = pydicom.Dataset()
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        base = f"{UID}{ord(patient)}.{study}"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{base}.{number}.{k}"
        ds.StudyInstanceUID, ds.SeriesInstanceUID = base, f"{base}.{number}"
        ds.PatientName, ds.PatientID, ds.PatientSex = NAMES[patient], f"ID-{patient}-77", "F"
        ds.PatientAge, ds.StudyDate, ds.StudyTime = "030Y", f"2020010{study}", "101500"
        ds.Modality, ds.Manufacturer, ds.MagneticFieldStrength = "MR", "ACME", 3
        ds.SeriesNumber, ds.InstanceNumber, ds.SliceThickness = number, k + 1, gap
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        ds.MRAcquisitionType, ds.ScanningSequence = "3D", "GR"
        ds.ImageOrientationPatient, ds.PixelSpacing = [1, 0, 0, 0, 1, 0], [1, 1]
        ds.ImagePositionPatient = [0, 0, k * gap]
        ds.Rows = ds.Columns = 8
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
        for name, value in about.items():
            setattr(ds, name, value)
        ds.PixelData = rng.integers(0, 1000, 64).astype("<u2").tobytes()
        ds.save_as(folder / f"{patient}{study}.{number}.{k}", enforce_file_format=True)


@pytest.fixture(scope="module")
def dump(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("dump") / "export"
    flat = root / "all"
    series(flat, "A", 1, 2, SeriesDescription="t1_mprage")
    series(flat, "A", 1, 3, SeriesDescription="t1_mprage")
    series(flat, "A", 1, 4, SeriesDescription="t1_mprage MPR", gap=2.0,
           ImageType=["DERIVED", "SECONDARY", "MPR"])  # fmt: skip
    series(
        flat, "A", 1, 5, SeriesDescription="t2_flair", MRAcquisitionType="2D", gap=5.0, slices=24
    )
    series(
        flat, "A", 1, 6, SeriesDescription="t1_se_tra", MRAcquisitionType="2D", gap=5.0, slices=24
    )
    series(flat, "A", 1, 1, SeriesDescription="localizer", slices=3)
    series(flat, "A", 2, 7, SeriesDescription="t1_mprage")
    series(flat, "B", 1, 9, SeriesDescription=f"t1_mprage {NAMES['B']}")
    series(flat, "B", 1, 10, SeriesDescription="irgendwas", ScanningSequence="RM")
    (root / "readme.txt").write_text("junk")
    (flat / "B1.9.20").unlink()  # a slice that is missing
    return root


def quiet(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MriprepWarning)
        return function(*args, **kwargs)


def run(*arguments) -> str:
    result = quiet(CliRunner().invoke, scan, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def of(found, description: str):
    return next(r for r in found if r["description"].startswith(description))


def test_people_visits_and_series(dump):
    found = quiet(read_dump, dump)
    people = {s.subject: {t.session for t in found if t.subject == s.subject} for s in found}
    assert sorted(map(len, people.values())) == [1, 2]
    assert {None} in people.values()
    assert {"01", "02"} in people.values()
    first = next(s for s in found if s.session == "01" and s.series.number == 2)
    assert (first.series.contrast, first.verdict.kind, len(first.files)) == ("T1w", "good", 40)
    broken = next(s for s in found if s.series.number == 9)
    assert broken.verdict.kind == "repair"
    assert "1 of 40 slices missing: number 21" in broken.verdict.why
    assert quiet(read_dump, dump) == found  # the same codes, the same order


def test_the_best_is_taken_and_each_other_has_its_reason(dump, tmp_path):
    run(dump, "--choose", "T1w,FLAIR", "--write", tmp_path / "s.tsv")
    found = rows(tmp_path / "s.tsv")
    taken = {(r["session"], r["contrast"], r["series"]) for r in found if r["use"] == "yes"}
    assert taken == {("01", "T1w", "3"), ("01", "FLAIR", "5"), ("02", "T1w", "7"), ("", "T1w", "9")}
    why = {(r["session"], r["series"]): r["why"] for r in found}
    assert why["01", "2"] == "it was repeated: series 3 is the last"
    assert why["01", "4"] == "it is less isotropic than series 3"
    assert why["01", "6"] == "it is not 3D, series 3 is"
    assert why["01", "1"].startswith("too few slices: 3")
    assert why["", "10"] == "its contrast is not known"
    assert "filled in from the neighbours" in why["", "9"]


def test_nothing_tells_who_they_are(dump, tmp_path):
    said = run(dump, "--json", "-") + run(dump) + run(dump, "--tsv", tmp_path / "t.tsv", "--write",
                                                      tmp_path / "s.tsv")  # fmt: skip
    said += (tmp_path / "t.tsv").read_text() + (tmp_path / "s.tsv").read_text()
    for private in ("Mustermann", "Erika", "Doe", "John", "ID-", "77", "2020", UID):
        assert private not in said.replace(str(tmp_path), ""), private
    run(dump, "--key", tmp_path / "key.tsv")
    key = rows(tmp_path / "key.tsv")
    assert {(r["patient_id"], r["study_date"]) for r in key} == {
        ("ID-A-77", "20200101"), ("ID-A-77", "20200102"), ("ID-B-77", "20200101"),
    }  # fmt: skip
    assert (tmp_path / "key.tsv").stat().st_mode & 0o077 == 0


def test_an_edited_selection_is_fed_back(dump, tmp_path):
    moved = tmp_path / "export"
    shutil.copytree(dump, moved)
    run(moved, "--choose", "T1w", "--write", tmp_path / "s.tsv")
    text = (tmp_path / "s.tsv").read_text()
    lines = text.splitlines()
    edited = []
    for line in lines:
        cells = line.split("\t")
        if "\t10\tirgendwas\t" in line:  # use what nothing was known of
            cells[0], cells[3] = "yes", "T2w"
        if "\t9\t" in line and "t1_mprage" in line:
            cells[0], cells[1], cells[10] = "yes", "Kontrolle-7", "31"
        if "\tirgendwas\t" in line:
            cells[1] = "Kontrolle-7"
        edited.append("\t".join(cells))
    (tmp_path / "s.tsv").write_text("\n".join(edited) + "\n")
    cases = {c.name: c for c in quiet(list_cases, tmp_path / "s.tsv")}
    case = cases["sub-Kontrolle7"]
    assert case.contrasts == ("T1w", "T2w")
    assert case.age == "31"
    opened = quiet(open_case, case)
    assert {c: v.shape for c, v in opened.items()} == {"T1w": (8, 8, 40), "T2w": (8, 8, 40)}
    assert opened["T1w"].meta["interpolated_slices"] in ([20], [19])
    assert opened.facts["age"] == 31
    other = quiet(open_case, case, dicom_engine="dicom2nifti")
    ours, theirs = opened["T2w"], other["T2w"]
    turned = [a for a in range(3) if ours.affine[a, a] * theirs.affine[a, a] < 0]
    np.testing.assert_array_equal(ours.data, np.flip(theirs.data, turned))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("yes\t", "maybe\t"), "'use' is yes or no, got 'maybe'"),
        (("\t3\tt1_mprage\t", "\t2\tt1_mprage\t"), None),
        (("\tT1w\t", "\t\t"), "needs a contrast"),
        (("yes\t", "no\t"), "uses no series"),
        (("01\tT1w\t2\t", "02\tT1w\t2\t"), None),
        (("no\tSUBJECT\t01\tT1w\t2\t", "yes\tSUBJECT\t01\tT1w\t2\t"), "are taken as T1w"),
    ],
)
def test_a_wrong_selection_is_refused(dump, tmp_path, change, message):
    run(dump, "--choose", "T1w", "--write", tmp_path / "s.tsv")
    text = (tmp_path / "s.tsv").read_text()
    subject = next(r for r in rows(tmp_path / "s.tsv") if r["session"])["subject"]
    text = text.replace(*(c.replace("SUBJECT", subject) for c in change))
    (tmp_path / "s.tsv").write_text(text)
    if message is None:
        assert (
            len(quiet(from_selection, tmp_path / "s.tsv")) == 3
        )  # what a series is called is free
        return
    with pytest.raises(InputError, match=message):
        quiet(from_selection, tmp_path / "s.tsv")


def test_a_zip_gives_what_its_folder_gives(dump, tmp_path):
    with zipfile.ZipFile(tmp_path / "e.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(dump.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(dump))
    inside = {c.name: c for c in quiet(list_cases, tmp_path / "e.zip")}
    outside = {c.name: c for c in quiet(list_cases, dump)}
    assert {n: c.contrasts for n, c in inside.items()} == {
        n: c.contrasts for n, c in outside.items()
    }
    name = next(n for n, c in inside.items() if "FLAIR" in c.contrasts)
    a, b = (quiet(open_case, x[name].only(["FLAIR"]))["FLAIR"] for x in (inside, outside))
    np.testing.assert_array_equal(a.data, b.data)
    np.testing.assert_array_equal(a.affine, b.affine)


def test_two_processes_read_what_one_reads(dump, monkeypatch):
    from mriprep.io import dicom_scan

    one = read_headers(dump)
    monkeypatch.setattr(dicom_scan, "LEAST_A_PROCESS", 100)
    heard = []
    two = read_headers(dump, processes=2, hears=lambda done, total: heard.append((done, total)))
    assert list(one.found) == list(two.found)
    assert (one.other, one.repeated) == (two.other, two.repeated) == (1, 0)
    for a, b in zip(one.found.values(), two.found.values(), strict=True):
        assert (a.path, a.patient, a.study, a.facts) == (b.path, b.patient, b.study, b.facts)
    assert heard[0][0] == 0
    assert heard[-1][0] == heard[-1][1]


def test_what_a_lost_process_did_not_read_is_read_all_the_same(dump, monkeypatch):
    from mriprep.io import dicom_scan

    monkeypatch.setattr(dicom_scan, "LEAST_A_PROCESS", 100)
    monkeypatch.setattr(dicom_scan.sys, "executable", shutil.which("false"))
    assert len(read_headers(dump, processes=2).found) == len(read_headers(dump).found)


def test_a_dump_may_be_the_folder_one_is_in(dump, monkeypatch):
    monkeypatch.chdir(dump / "all")
    found = quiet(read_dump, Path())
    assert all("/" not in f and Path(f).is_file() for s in found for f in s.files)
    assert [s.id for s in found] == [s.id for s in quiet(read_dump, dump)]


def test_one_person_is_named_after_the_folder(dump, tmp_path):
    series(tmp_path / "sub-x7", "A", 1, 2, SeriesDescription="t1_mprage")
    [case] = quiet(list_cases, tmp_path / "sub-x7")
    assert (case.name, case.contrasts, case.sex) == ("sub-x7", ("T1w",), "F")
    with pytest.raises(InputError, match="none of the 1 series"):
        quiet(list_cases, tmp_path / "sub-x7", wanted=["FLAIR"])


def test_json_tells_the_reason_of_a_contrast(dump):
    found = json.loads(run(dump, "--json", "-"))
    flair = next(s for s in found if s["contrast"] == "FLAIR")
    assert flair["confidence"] == 0.9
    assert flair["reason"] == "its name"
    assert flair["facts"]["MagneticFieldStrength"] == 3


def test_a_dump_whose_files_went_is_an_error(dump, tmp_path):
    shutil.copytree(dump, tmp_path / "e")
    cases = quiet(list_cases, tmp_path / "e")
    for file in (tmp_path / "e" / "all").glob("*.7.1*"):
        file.unlink()
    case = next(c for c in cases if c.session == "02")
    with pytest.raises(InputError, match="11 of the 40 files of series 7 cannot be read"):
        open_case(case)


def refused(*arguments) -> InputError:
    with pytest.raises(InputError) as caught:
        quiet(CliRunner().invoke, scan, [str(a) for a in arguments], catch_exceptions=False)
    assert caught.value.exit_code == 2
    return caught.value


def test_an_edited_selection_is_not_written_over(dump, tmp_path):
    path = tmp_path / "s.tsv"
    path.write_text("edited")
    assert "--force" in refused(dump, "--write", path).hint
    assert path.read_text() == "edited"
    run(dump, "--write", path, "--force")
    assert rows(path)


def test_a_source_that_is_not_there_is_told_with_its_line(dump, tmp_path):
    run(dump, "--choose", "T1w", "--write", tmp_path / "s.tsv")
    (tmp_path / "moved").mkdir()
    shutil.move(tmp_path / "s.tsv", tmp_path / "moved" / "s.tsv")
    with pytest.raises(InputError, match=r"s\.tsv, line \d+: the source '.*' is not there") as e:
        from_selection(tmp_path / "moved" / "s.tsv")
    assert "relative to the selection" in e.value.hint


@pytest.mark.parametrize(("given", "hint"), [("T1", "did you mean 'T1w'?"), ("Foo", "accepted: ")])
def test_a_contrast_that_is_none_is_refused(dump, given, hint):
    error = refused(dump, "--choose", f"flair,{given}")
    assert f"no contrast '{given}'" in error.message
    assert hint in error.hint


def test_series_of_one_uid_have_identifiers_of_their_own(tmp_path):
    root = tmp_path / "d"
    about = {"SeriesInstanceUID": f"{UID}9", "SeriesDescription": "t1_mprage"}
    series(root, "A", 1, 1, **about)
    series(root, "A", 1, 2, **about, PixelSpacing=[2, 2])
    found = quiet(read_dump, root)
    assert len({s.series.uid for s in found}) == 1
    assert len({s.id for s in found}) == len(found) == 2


def test_what_is_no_mr_is_refused_and_said_once(tmp_path):
    series(tmp_path / "d", "A", 1, 1, SeriesDescription="head", Modality="CT")
    series(tmp_path / "d", "A", 1, 2, SeriesDescription="t1_mprage")
    run(tmp_path / "d", "--tsv", tmp_path / "t.tsv")
    ct = of(rows(tmp_path / "t.tsv"), "head")
    assert (ct["verdict"], ct["why"]) == ("refuse", "CT, not MR")


def test_a_slab_is_not_the_best(tmp_path):
    slab = {"SeriesDescription": "t1_mprage", "slices": 40, "gap": 0.1, "PixelSpacing": [0.1, 0.1]}
    series(tmp_path / "d", "A", 1, 1, **slab)
    run(tmp_path / "d", "--tsv", tmp_path / "t.tsv")
    [alone] = rows(tmp_path / "t.tsv")
    assert alone["use"] == "yes"
    assert "it covers only 4 mm" in alone["why"]
    series(tmp_path / "d", "A", 1, 2, SeriesDescription="t1_se", MRAcquisitionType="2D", gap=5.0,
           slices=24)  # fmt: skip
    run(tmp_path / "d", "--tsv", tmp_path / "t.tsv")
    first, second = rows(tmp_path / "t.tsv")
    assert (first["use"], first["why"]) == ("no", "it covers only 4 mm")
    assert second["use"] == "yes"

"""A name that is planted everywhere is nowhere in what `mriprep deidentify` writes."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import zlib
from types import SimpleNamespace

import nibabel
import numpy as np
import pydicom
import pytest

import mriprep as mp
from mriprep.core import Grid, InputError, OutputError, Volume
from planted import NAME, NUMBER, plant_bids, plant_series

SECRET = bytes(range(32))


@pytest.fixture(scope="module")
def phantom():
    return ball()


def ball(shape=(40, 48, 12)):
    """A noisy ball in place of a head: what is tested is not the anatomy."""
    rng = np.random.default_rng(1)
    away = np.indices(shape).T / np.array(shape) - 0.5
    bright = np.where((away**2).sum(-1).T < 0.15, 700.0, 20.0) + 30 * rng.normal(size=shape)
    grid = Grid(shape, np.array([[2.0, 0, 0, -40], [0, 2, 0, -48], [0, 0, 3, 9], [0, 0, 0, 1]]))
    image = Volume(np.abs(bright).astype("f4"), grid)
    facts = {"contrast": "T1w", "age_years": 41.0, "seed": 3}
    return SimpleNamespace(image=image, grid=grid, facts=facts)


@pytest.fixture(scope="module")
def planted(tmp_path_factory, phantom):
    root = tmp_path_factory.mktemp("in")
    places = plant_series(root / f"exam {NAME}", phantom) + plant_bids(root)
    assert places > 100
    return root


@pytest.fixture(scope="module")
def done(planted, tmp_path_factory):
    before = digest(planted)
    out = tmp_path_factory.mktemp("out") / "shared"
    result = mp.deidentify(planted, out, secret=SECRET)
    assert digest(planted) == before  # the input is as it was
    return result


def digest(folder):
    return {
        p: hashlib.sha256(p.read_bytes()).digest() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def unpacked(data):
    """The bytes, and what is compressed in them."""
    yield data
    for at in (m.start() for m in re.finditer(rb"\x1f\x8b\x08|\x78[\x01\x9c\xda]", data)):
        try:
            yield zlib.decompressobj(47).decompress(data[at:])
        except zlib.error:
            continue


def traces(folder, words=(NAME, NUMBER)):
    """Files in which a word is, in any case and encoding, or in their names."""
    found = []
    for path in folder.rglob("*"):
        inside = str(path.relative_to(folder))
        texts = [inside.encode()]
        if path.is_file():
            texts += unpacked(path.read_bytes())
        for data in texts:
            low = data.lower()
            for word in words:
                forms = [
                    word.lower().encode(c) for c in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le")
                ]
                forms += [word.lower().encode()[::-1], word.lower().encode().hex().encode()]
                if any(f in low for f in forms):
                    found.append((inside, word))
    return found


def test_the_search_finds_what_was_planted(planted):
    """A test that cannot fail proves nothing: in the input the name is in every kind of file."""
    hit = {os.path.splitext(p)[1] for p, _ in traces(planted)}
    assert {".dcm", ".gz", ".nii", ".json", ".txt", ".tsv", ".bvec"} <= hit


def test_a_planted_name_is_nowhere(done, phantom):
    assert traces(done.folder) == []
    written = done.report["files"]["written"]
    assert written == {"DICOM": phantom.grid.shape[2], "JSON": 2, "NIfTI": 3, "gradients": 1}
    # What cannot be vouched for is not there, in any form.
    assert sorted(h.path.suffix for h in done.held) == [".bvec", ".tsv", ".txt"]
    assert not list(done.folder.rglob("*.tsv"))
    assert NAME not in repr(done) + repr(done.held)


@pytest.mark.parametrize("keep", ["dates", "device", "characteristics"])
def test_options_let_no_name_through(planted, tmp_path, keep):
    done = mp.deidentify(planted, tmp_path / "o", keep=[keep])
    assert traces(done.folder) == []


def test_the_series_still_converts_to_the_same_volume(done, phantom, tmp_path):
    from mriprep.phantom import write_dicom

    before = mp.read(write_dicom(phantom, tmp_path / "clean"))
    after = mp.read(next(p for p in done.folder.rglob("series-*")))
    (a,), (b,) = before.volumes.values(), after.volumes.values()
    np.testing.assert_array_equal(a.data, b.data)
    np.testing.assert_array_equal(a.grid.affine, b.grid.affine)
    assert after.facts["EchoTime"] == before.facts["EchoTime"]
    assert "age" not in after.facts


def test_images_keep_voxels_and_geometry(done, planted):
    def images(folder):
        return {
            (im.header["sizeof_hdr"].item(), str(p).endswith("gz")): im
            for p in folder.rglob("*.nii*")
            for im in [nibabel.load(p)]
        }

    before, after = images(planted), images(done.folder)
    assert len(before) == 3
    assert before.keys() == after.keys()
    for key, old in before.items():
        np.testing.assert_array_equal(np.asarray(old.dataobj), np.asarray(after[key].dataobj))
        np.testing.assert_array_equal(old.affine, after[key].affine)
        assert after[key].header.get_zooms() == old.header.get_zooms()
        assert not after[key].header.extensions
    sidecar = json.loads(next(done.folder.rglob("sub-*_T1w.json")).read_text())
    assert sidecar == {
        "EchoTime": 0.003, "SeriesDescription": "T1w", "ImageType": ["ORIGINAL", "OTHER"],
        "PhaseEncodingDirection": "j-", "SliceTiming": [0.0, 0.5],
    }  # fmt: skip


@pytest.fixture
def exam(tmp_path, phantom):
    from mriprep.phantom import write_dicom

    return write_dicom(phantom, tmp_path / "exam")


def change(folder, **values):
    """Write attributes into the first file of a series."""
    file = sorted(folder.iterdir())[0]
    ds = pydicom.dcmread(file)
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.save_as(file)
    return ds


def datasets(done):
    return [pydicom.dcmread(p) for p in sorted(done.folder.rglob("*.dcm"))]


def test_a_secret_repeats_and_none_does_not(exam, tmp_path):
    runs = [
        mp.deidentify(exam, tmp_path / f"o{n}", secret=secret)
        for n, secret in enumerate((SECRET, SECRET, None, None))
    ]
    hashes = [{str(p.relative_to(r.folder)): h for p, h in digest(r.folder).items()} for r in runs]
    assert hashes[0] == hashes[1]
    assert hashes[2] != hashes[3]
    for run in runs:
        made = datasets(run)
        assert (
            len({d.SeriesInstanceUID for d in made}) == len({d.StudyInstanceUID for d in made}) == 1
        )
        assert len({d.SOPInstanceUID for d in made}) == len(made) == 12
        assert all(d.SOPInstanceUID == d.file_meta.MediaStorageSOPInstanceUID for d in made)
        assert {d.SeriesInstanceUID for d in made}.isdisjoint(
            {pydicom.dcmread(f).SeriesInstanceUID for f in exam.iterdir()}
        )
    with pytest.raises(InputError, match="16 or more"):
        mp.deidentify(exam, tmp_path / "short", secret=b"guess")


def test_options_keep_what_they_say(exam, tmp_path):
    for file in exam.iterdir():
        ds = pydicom.dcmread(file)
        ds.SeriesDate, ds.StationName, ds.PatientAge = "20000103", "MR7", "093Y"
        ds.save_as(file)
    plain = datasets(mp.deidentify(exam, tmp_path / "a", secret=SECRET))[0]
    assert (plain.StudyDate, plain.PatientSex, plain.get("PatientAge")) == ("", "", None)
    assert "StationName" not in plain
    everything = ["dates", "device", "characteristics"]
    kept = datasets(mp.deidentify(exam, tmp_path / "b", secret=SECRET, keep=everything))[0]
    assert (kept.StationName, kept.PatientAge, kept.PatientSex) == ("MR7", "090Y", "O")
    assert kept.StudyDate < "20000101"
    assert int(kept.SeriesDate) - int(kept.StudyDate) == 2 or kept.SeriesDate[6:] < "03"
    codes = {c.CodeValue for c in kept.DeidentificationMethodCodeSequence}
    assert {"113100", "113105", "113107", "113108", "113109"} <= codes
    with pytest.raises(InputError, match="did you mean 'dates'"):
        mp.deidentify(exam, tmp_path / "c", keep=["date"])


def draw(folder, text="DOE JANE", size=12, value=None):
    """Burn a text into one picture."""
    from PIL import Image, ImageDraw, ImageFont

    file = sorted(folder.iterdir())[5]
    ds = pydicom.dcmread(file)
    pixels = ds.pixel_array.copy()
    canvas = Image.new("1", pixels.shape[::-1])
    ImageDraw.Draw(canvas).text((0, 3), text, fill=1, font=ImageFont.load_default(size))
    pixels[np.array(canvas)] = pixels.max() if value is None else value
    ds.PixelData = pixels.tobytes()
    ds.save_as(file)


@pytest.mark.parametrize("text", ["DOE JANE", "1971-03-04"])
@pytest.mark.parametrize("size", [10, 16, 30])
@pytest.mark.parametrize("value", [4000, 400])
def test_text_is_seen_and_noise_is_not(text, size, value):
    from PIL import Image, ImageDraw, ImageFont

    from mriprep.deid.pixels import has_text

    picture = ball((256, 256, 2)).image.data[..., 0].astype("i2")
    assert not has_text(picture)
    canvas = Image.new("1", picture.shape)
    ImageDraw.Draw(canvas).text((2, 3), text, fill=1, font=ImageFont.load_default(size))
    picture[np.array(canvas)] = value
    assert has_text(picture)


def test_who_has_looked_lets_text_like_voxels_through(exam, tmp_path):
    from mriprep.deid.folder import NothingLeft

    shutil.copytree(exam, tmp_path / "in")
    draw(tmp_path / "in", value=4000)
    with pytest.raises(NothingLeft, match="text in the pixels") as told:
        mp.deidentify(tmp_path / "in", tmp_path / "o")
    assert len(told.value.held) == 12
    assert mp.deidentify(tmp_path / "in", tmp_path / "o", keep=["voxels"]).written == 12
    change(tmp_path / "in", BurnedInAnnotation="YES")  # what the header says still counts
    with pytest.raises(NothingLeft, match="BurnedInAnnotation"):
        mp.deidentify(tmp_path / "in", tmp_path / "p", keep=["voxels"])


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda f: change(f, BurnedInAnnotation="YES"), "BurnedInAnnotation"),
        (lambda f: change(f, SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), "picture of a screen"),
        (lambda f: change(f, ConversionType="WSD"), "secondary capture"),
        (lambda f: change(f, Modality="OT"), "no MR scan"),
        (lambda f: draw(f, value=4000), "text in the pixels"),
    ],
)
def test_series_that_may_show_text_are_held_back_whole(exam, tmp_path, spoil, why):
    shutil.copytree(exam, tmp_path / "in" / "bad")
    spoil(tmp_path / "in" / "bad")
    good = tmp_path / "in" / "good"
    shutil.copytree(exam, good)
    for file in good.iterdir():
        ds = pydicom.dcmread(file)
        ds.SeriesInstanceUID = "1.2.3.4"
        ds.save_as(file)
    done = mp.deidentify(tmp_path / "in", tmp_path / "o")
    assert done.written == 12
    assert [why in h.why for h in done.held] == [True] * 12
    assert {h.path.parts[0] for h in done.held} == {"bad"}


def test_a_tiny_number_of_a_direction_stays(exam, tmp_path):
    change(exam, ImageOrientationPatient=[-1, 0, 2.05e-17, 0, -1, 0])
    first = datasets(mp.deidentify(exam, tmp_path / "o"))[0]
    assert first.ImageOrientationPatient[2] == 2.05e-17


def test_pixels_hold_nothing_but_voxels(exam, tmp_path):
    for n, file in enumerate(sorted(exam.iterdir())):
        ds = pydicom.dcmread(file)
        pixels = ds.pixel_array.astype("u2") & 0xFFF
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 11, 0
        if n != 3:  # an overlay of old, in the bits above; once without saying so
            ds.add_new(0x60000102, "US", 12)
        ds.PixelData = (pixels | 0x1000).tobytes()
        ds.save_as(file)
    done = mp.deidentify(exam, tmp_path / "o")
    assert [h.why for h in done.held] == [
        "there is something in bits of its pixels that are not the voxels'"
    ]
    assert all(d.pixel_array.max() < 0x1000 for d in datasets(done))


def test_what_cannot_be_read_is_held_back(exam, tmp_path):
    files = sorted(exam.iterdir())
    files[0].write_bytes(files[0].read_bytes()[:-500])
    files[1].write_bytes(files[1].read_bytes()[:400])
    files[2].write_bytes(b"")
    files[3].unlink()
    noise = nibabel.Nifti1Image(np.random.default_rng(1).normal(size=(9, 9, 9)), np.eye(4))
    (exam / "cut.nii.gz").write_bytes(gzip.compress(noise.to_bytes())[:-900])
    (exam / "no.json").write_text("{")
    (exam / "DICOMDIR.txt").write_text("PatientName")
    os.symlink(files[5], exam / "link.dcm")
    os.mkfifo(exam / "pipe.nii")
    done = mp.deidentify(exam, tmp_path / "o")
    assert done.written == 8, [h.why for h in done.held]
    assert len(done.held) == 8, [(h.path, h.why) for h in done.held]
    assert sum(h["files"] for h in done.report["held_back"]) == 8
    assert {p.suffix for p in done.folder.rglob("*") if p.is_file()} == {".dcm", ".json", ".txt"}
    assert len(list(done.folder.rglob("*.json"))) == 1  # the report


def test_names_that_are_given_are_taken_out_and_leftovers_are_caught(exam, tmp_path):
    change(exam, SeriesDescription="Brain t1", StationName="of Hippocampus")
    done = mp.deidentify(exam, tmp_path / "o", names=["Brain"], secret=SECRET)
    assert all("rain" not in d.SeriesDescription for d in datasets(done)[:1])
    # Eight letters as a number, which the lists let through: the last look at the output finds it.
    number = np.frombuffer(b"ABCDEFGA", "<f8")[0]
    ds = change(exam, PatientName="Abcdefga")
    ds.add_new(0x00189087, "FD", float(number))
    ds.save_as(sorted(exam.iterdir())[0])
    again = mp.deidentify(exam, tmp_path / "p")
    assert [h.why for h in again.held] == [
        "a name or number of somebody was still in it after cleaning"
    ]


def test_outputs_are_whole_or_not_there(exam, tmp_path, monkeypatch):
    from mriprep.deid import folder

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(OutputError, match="not empty"):
        mp.deidentify(exam, tmp_path / "full")
    for inside in (exam, exam / "o", exam.parent):
        with pytest.raises(InputError, match="lie in each other"):
            mp.deidentify(exam, inside)

    def fails(*_, **__):
        raise OSError(28, "No space left on device")

    before = set(tmp_path.iterdir())
    monkeypatch.setattr(folder, "write_json", fails)
    with pytest.raises(OutputError, match="No space left"):
        mp.deidentify(exam, tmp_path / "o", key_map=tmp_path / "m", passphrase="long enough it is")
    assert set(tmp_path.iterdir()) == before


def test_a_map_is_encrypted_and_apart(exam, tmp_path):
    from mriprep.deid.keymap import read_map

    change(exam, PatientName="Muster^Max")
    key = tmp_path / "key.map"
    words = "correct horse battery"
    done = mp.deidentify(exam, tmp_path / "o", key_map=key, passphrase=words)
    told = read_map(key, words)
    (code,) = told["subjects"]
    assert told["subjects"][code]["identifier"] == "PHANTOM3"
    assert datasets(done)[0].PatientID == code
    assert sorted(told["files"].values()) == sorted(p.name for p in exam.iterdir())
    assert traces(tmp_path / "o", ("PHANTOM3", "Muster")) == []
    sealed = key.read_bytes()
    assert b"PHANTOM3" not in sealed
    assert key.stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="another passphrase"):
        read_map(key, words + "!")
    again = mp.deidentify(exam, tmp_path / "p", secret=bytes.fromhex(told["secret"]))
    assert datasets(again)[0].PatientID == code
    with pytest.raises(InputError, match="must not lie in the output"):
        mp.deidentify(exam, tmp_path / "q", key_map=tmp_path / "q" / "m", passphrase=words)
    with pytest.raises(InputError, match="passphrase"):
        mp.deidentify(exam, tmp_path / "q", key_map=tmp_path / "m2")


#: Attributes that table E.1-1 of PS3.15 has removed, emptied or cleaned in the basic profile.
# fmt: off
LISTED = """
    AccessionNumber AcquisitionComments AcquisitionContextSequence AcquisitionProtocolDescription
    ActualHumanPerformersSequence AdditionalPatientHistory AdmissionID AdmittingDate
    AdmittingDiagnosesCodeSequence AdmittingDiagnosesDescription Allergies Arbitrary
    AuthorObserverSequence BranchOfService CassetteID CommentsOnThePerformedProcedureStep
    ConfidentialityConstraintOnPatientDataDescription ContentCreatorName ContentSequence
    ContributionDescription CountryOfResidence CurrentPatientLocation CustodialOrganizationSequence
    DataSetTrailingPadding DerivationDescription DetectorID DeviceDescription DeviceUID
    DigitalSignaturesSequence DigitalSignatureUID DischargeDiagnosisDescription DistributionAddress
    EthnicGroup FrameComments GantryID GeneratorID GraphicAnnotationSequence IconImageSequence
    IdentifyingComments ImageComments ImagePresentationComments Impressions InstitutionAddress
    InstitutionalDepartmentName InstitutionCodeSequence InstitutionName InsurancePlanIdentification
    IssuerOfPatientID LastMenstrualDate MAC MedicalAlerts MedicalRecordLocator MilitaryRank
    ModifiedAttributesSequence NameOfPhysiciansReadingStudy OperatorIdentificationSequence
    OperatorsName OriginalAttributesSequence OtherPatientIDs OtherPatientIDsSequence
    OtherPatientNames ParticipantSequence PatientAddress PatientBirthDate PatientBirthName
    PatientBirthTime PatientComments PatientState PatientInsurancePlanCodeSequence
    PatientMotherBirthName PatientName PatientID PatientReligiousPreference PatientTelephoneNumbers
    PerformedProcedureStepDescription PerformedProcedureStepID PerformedStationAETitle
    PerformingPhysicianIdentificationSequence PerformingPhysicianName PersonAddress PersonName
    PhysiciansOfRecord PlateID ReasonForStudy ReferencedImageSequence ReferencedPatientSequence
    ReferencedStudySequence ReferringPhysicianAddress ReferringPhysicianName RegionOfResidence
    RequestAttributesSequence RequestedProcedureComments RequestedProcedureDescription
    RequestingPhysician RequestingService ResponsibleOrganization ResponsiblePerson ReviewerName
    ScheduledProcedureStepDescription SourceImageSequence SpecialNeeds StudyComments
    StudyDescription StudyID TextComments TextString TimezoneOffsetFromUTC TopicTitle
    VerifyingObserverName VisitComments
    """.split()  # noqa: SIM905 - too many for quotes
# fmt: on


def test_the_list_of_what_stays_agrees_with_the_standards_list_of_what_goes():
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    from mriprep.deid.allowed import OPTIONS, keywords

    always = keywords(frozenset())
    assert not set(LISTED) & set(keywords(frozenset(OPTIONS)))
    for keyword in keywords(frozenset(OPTIONS)):
        assert tag_for_keyword(keyword) is not None, keyword
    # No free text and no date is on the list but what is cleaned word by word.
    vrs = {k: dictionary_VR(tag_for_keyword(k)) for k in always}
    free = {k for k, v in vrs.items() if v in ("PN", "LO", "SH", "LT", "ST", "UT", "UC", "UR", "AE",
                                               "DA", "DT", "TM", "AS", "OB", "OW", "UN")}  # fmt: skip
    assert free == {"Manufacturer", "SeriesDescription", "ProtocolName", "SequenceName",
                    "PulseSequenceName", "ContrastBolusAgent", "ImagedNucleus", "ResonantNucleus",
                    "StackID"} & set(vrs) & free  # fmt: skip

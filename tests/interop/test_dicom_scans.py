"""Real DICOM folders: what the scan says of them, and that both engines agree."""

from __future__ import annotations

import json
import shutil
import tarfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest

from mriprep import engines
from mriprep.cases import list_cases, open_case
from mriprep.core import Case, EngineError, InputError, MriprepWarning, Volume
from mriprep.io.dicom import Series, choose, scan
from mriprep.io.dicom_dump import read_dump
from mriprep.io.dicom_geometry import along
from mriprep.steps.convert import convert as read_dicom

ENGINES = ("dcm2niix", "dicom2nifti")
CHILD, MIXED = "child-10y-siemens-trio", "adult-26y-siemens-trio-mixed"
PHILIPS, NO_VENDOR = "adult-41y-philips-elition", "adult-42y-no-vendor"
VENDORS, SYNTAXES = "fixtures-vendors", "fixtures-transfer-syntaxes"

Folder = Callable[[str], Path]


@pytest.fixture(scope="session")
def dicom(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """Unpack an archive once; the scans are deleted at the end."""
    base = tmp_path_factory.mktemp("dicom")

    def folder(name: str) -> Path:
        if not (base / name).exists():
            with tarfile.open(data / "dicom" / f"{name}.tar.xz") as archive:
                archive.extractall(base / name, filter="data")
        return base / name

    yield folder
    shutil.rmtree(base)


def quiet(function, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MriprepWarning)
        return function(*args, **kwargs)


@pytest.fixture(scope="module")
def read(dicom: Folder) -> Callable[..., Case]:
    """Read an archive's series, each once."""
    known: dict[tuple[str, ...], Case] = {}

    def case(name: str, engine: str = "dcm2niix", series: str | None = None) -> Case:
        key = (name, engine, series or "")
        if key not in known:
            known[key] = quiet(read_dicom, dicom(name), engine=engine, series=series)
        return known[key]

    return case


def like(volume: Volume, other: Volume) -> np.ndarray:
    """Voxels with the axes of another volume."""
    aligned, _, _ = along(volume.grid, other.grid)
    assert aligned.distance(other.grid) < 0.01
    cosines = other.grid.direction.T @ volume.grid.direction
    order = np.argmax(np.abs(cosines), axis=1)
    backwards = [a for a in range(3) if cosines[a, order[a]] < 0]
    return np.flip(volume.data.transpose(order), backwards)


# -- what the scan says -----------------------------------------------------------------------


def test_child(dicom):
    with pytest.warns(MriprepWarning, match="left out 8 files that are not DICOM"):
        [series] = scan(dicom(CHILD))
    assert (series.contrast, series.number, series.is_3d_anatomical) == ("T1w", 4, True)
    assert (series.rows, series.columns, series.slices) == (220, 220, 176)
    assert series.spacing == pytest.approx((1, 1, 1), abs=1e-4)
    assert series.problems == ()
    assert (series.facts["age"], series.facts["sex"]) == (10, "F")
    assert series.facts["MagneticFieldStrength"] == 3
    assert series.facts["RepetitionTime"] == 2.52


def test_four_series_in_a_flat_folder(dicom):
    found = quiet(scan, dicom(MIXED))
    assert [(s.key, s.contrast, s.slices) for s in found] == [
        ("5", "T1w", 175),
        ("6", "T2w", 55),
        ("17", "ASL", 12),
        ("18", "ASL", 12),
    ]
    t1, t2 = found[:2]
    # The one numbered 115 is not there: 114 lies at 28.52 mm along the normal, 116 at 30.52.
    assert t1.missing == (114,)
    assert "1 of 176 slices missing: number 115" in t1.problems[0]
    assert t2.missing == (34,)
    assert "1 of 56 slices missing: number 35" in t2.problems[0]
    assert "2.5 mm apart" in t2.problems[0]
    with pytest.warns(MriprepWarning, match=r"took series 5 .*left series 6 \(AX FSE T2\)"):
        assert choose(found) is t1
    assert choose(found, "6") is choose(found, "ax fse") is choose(found, "t2w") is t2
    with pytest.raises(InputError, match="relCBF"):
        choose(found, "ASL")


def test_philips_facts_are_dcm2niixs(dicom, data, read):
    reference = json.loads((data / "dicom" / f"{PHILIPS}.reference.json").read_text())
    [series] = scan(dicom(PHILIPS))
    assert (series.contrast, series.slices, series.problems) == ("T1w", 170, ())
    facts = read(PHILIPS).facts  # the inversion time is in a private element alone
    for name in ("RepetitionTime", "EchoTime", "InversionTime", "FlipAngle", "SliceThickness",
                 "MagneticFieldStrength"):  # fmt: skip
        assert facts[name] == pytest.approx(reference[name], rel=1e-5), name
    for name in ("Modality", "Manufacturer", "ManufacturersModelName", "SeriesDescription",
                 "ProtocolName", "ScanningSequence", "SequenceVariant", "MRAcquisitionType"):  # fmt: skip
        assert facts[name] == reference[name], name
    assert (facts["age"], facts["sex"]) == (41, "M")
    assert series.grid is not None
    lps = np.diag([-1, -1, 1]) @ series.grid.direction
    row_and_column = np.concatenate([lps[:, 0], lps[:, 1]])
    np.testing.assert_allclose(row_and_column, reference["ImageOrientationPatientDICOM"], atol=1e-5)


def test_no_vendor(dicom, read):
    [series] = scan(dicom(NO_VENDOR))
    assert (series.contrast, series.slices, series.derived) == ("T1w", 384, True)
    assert series.is_3d_anatomical
    assert series.spacing == pytest.approx((0.69999, 0.66667, 0.66667), abs=1e-4)
    assert series.facts["age"] == 42
    assert choose([series]) is series
    volume = read(NO_VENDOR)["T1w"]
    assert along(series.grid, volume.grid)[0].distance(volume.grid) < 0.01


def vendor_folders() -> list[str]:
    return [
        "anatomical/001", "anatomical/001_implicit", "ge/anatomical/001",
        "ge/anatomical/001_implicit", "ge/anatomical/001_single_slice",
        "generic/anatomical/001", "generic/anatomical/001_implicit",
        "generic/anatomical/002_non_isotropic", "generic/compressed/001",
        "generic/compressed_j2k/001", "generic/compressed_jpeg/001",
        "generic/compressed_jpegls/001", "generic/compressed_rle/001", "generic/rgb/001",
        "hitachi/anatomical/001", "hitachi/anatomical/001_implicit", "hyperfine/anatomical/001",
        "philips/anatomical/001", "philips/anatomical/001_implicit",
        "philips_enhanced/anatomical/001", "philips_enhanced/anatomical/001_implicit",
        "siemens/anatomical/001", "siemens/anatomical/001_implicit",
        "siemens_multiframe/anatomical/001",
    ]  # fmt: skip


@pytest.mark.parametrize("name", vendor_folders())
def test_every_vendor_is_scanned_and_both_engines_agree_with_its_headers(name, dicom):
    [series] = scan(dicom(VENDORS) / name)
    if "rgb" in name:
        assert series.problems == ("colour: 3 values a pixel",)
        with pytest.raises(InputError, match="colour"):
            read_dicom(dicom(VENDORS) / name, series=series.key)
        return
    if "single_slice" in name:
        assert series.problems == ("too few slices: 1",)
        return
    assert series.problems == ()
    assert series.usable
    assert series.slices == (
        8 if "enhanced" in name or "multiframe" in name or "hyper" in name else 4
    )
    one, other = (
        quiet(read_dicom, dicom(VENDORS) / name, engine=e)[series.contrast or "image"]
        for e in ENGINES
    )
    assert along(series.grid, one.grid)[0].distance(one.grid) < 0.01
    values = like(other, one)
    if one.data.dtype.kind == "i":
        np.testing.assert_array_equal(one.data, values)
    else:
        assert np.corrcoef(one.data.ravel(), values.ravel())[0, 1] > 0.9999999


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("gantrytilting/001", "gantry tilt: 14.0°"),
        ("notavolume/001", "not a volume: all 4 images lie at one position"),
        ("slicecount/001", "too few slices: 2"),
        ("sliceincrement/001", "1 of 5 slices missing"),
        ("sliceincrement/002", "1 of 5 slices missing"),
        ("sliceincrement/002", "gantry tilt: 15.5°"),
        ("sliceorientation/001", "mixed orientation"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_every_failing_folder_names_its_problem(name, problem, engine, dicom):
    folder = dicom(VENDORS) / "failing" / name
    assert all(any(problem in p for p in s.problems) for s in scan(folder))
    if name == "gantrytilting/001":
        with pytest.warns(MriprepWarning, match="gantry tilt.*sheared back into a volume"):
            volume = read_dicom(folder, engine=engine)["image"]
        assert "leaned by 14.0°" in volume.meta["interpolated"]
        return
    with pytest.raises(InputError):
        quiet(read_dicom, folder, engine=engine)


def test_a_tilted_gantry_is_undone_alike_by_both_engines_and_by_dcm2niix_itself(dicom):
    folder = dicom(VENDORS) / "failing" / "gantrytilting" / "001"
    one, other = (quiet(read_dicom, folder, engine=e)["image"] for e in ENGINES)
    assert np.allclose(one.grid.direction.T @ one.grid.direction, np.eye(3), atol=1e-6)
    np.testing.assert_array_equal(one.data, like(other, one))
    [series] = scan(folder)
    theirs = quiet(engines.load("dicom", "dcm2niix").convert, series.files)
    # Theirs keeps the shape, cutting off what is moved out of it: compare where both are.
    size = np.array(theirs.shape) - 1
    for part in ((0.5, 0.5, 0.0), (0.5, 0.5, 1.0), (0.3, 0.6, 0.5)):
        index = np.round(np.array(part) * size)
        here = one.grid.to_index(theirs.grid.to_world(index))
        low = np.floor(here + 1e-6).astype(int)
        near = one.data[tuple(slice(max(n - 1, 0), n + 3) for n in low)]
        assert near.min() <= theirs.data[tuple(index.astype(int))] <= near.max()


def test_enhanced_files_that_hold_more_than_a_volume(dicom):
    found: dict[str, Series] = {s.key: s for s in scan(dicom("fixtures-enhanced"))}
    assert (found["6"].slices, found["6"].volumes, found["6"].contrast) == (6, 4, "bold")
    assert (found["801"].slices, found["801"].volumes) == (32, 2)
    for key, series in found.items():
        with pytest.raises(InputError, match="volumes"):
            read_dicom(dicom("fixtures-enhanced"), series=key)
        with pytest.raises(InputError):
            engines.load("dicom", "dicom2nifti").convert(series.files)


# -- what the engines make of it --------------------------------------------------------------


def test_the_mask_made_on_dcm2niixs_grid_fits(data, read):
    mask = nibabel.load(data / "dicom" / f"{PHILIPS}.hdbet-mask.nii.gz")
    volume = read(PHILIPS)["T1w"]
    assert volume.shape == mask.shape
    np.testing.assert_allclose(volume.affine, mask.affine, atol=1e-4)
    inside = volume.data[np.asarray(mask.dataobj) > 0]
    assert inside.mean() > 3 * volume.data[np.asarray(mask.dataobj) == 0].mean()


def test_both_engines_give_the_same_voxels(read):
    a, b = (read(CHILD, e)["T1w"] for e in ENGINES)
    np.testing.assert_array_equal(a.data, like(b, a))


def test_philips_values_differ_by_the_private_scale_alone(read):
    """dcm2niix gives precise values: displayed ones over rescale slope times scale slope."""
    a, b = (read(PHILIPS, e)["T1w"] for e in ENGINES)
    scaling = a.meta["scaling"]
    factor = scaling["PhilipsRescaleSlope"] * scaling["PhilipsScaleSlope"]
    np.testing.assert_allclose(a.data * factor, like(b, a), rtol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_geometry_and_voxels_are_gdcms(engine, dicom, read):
    """SimpleITK reads the same series with another library."""
    sitk = pytest.importorskip("SimpleITK")
    [series] = quiet(scan, dicom(CHILD))
    image = sitk.ReadImage([str(f) for f in series.files])
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    reference = Volume(
        sitk.GetArrayViewFromImage(image).transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ affine
    )
    np.testing.assert_array_equal(reference.data, like(read(CHILD, engine)["T1w"], reference))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("series", "contrast", "gone"), [("5", "T1w", 114), ("T2w", "T2w", 34)])
def test_a_really_missing_slice_is_filled(engine, series, contrast, gone, dicom, read):
    volume = read(MIXED, engine, series)[contrast]
    [known] = [s for s in quiet(scan, dicom(MIXED)) if s.contrast == contrast]
    assert along(known.grid, volume.grid)[0].distance(volume.grid) < 0.01
    axis, [index] = volume.meta["slice_axis"], volume.meta["interpolated_slices"]
    slices = np.moveaxis(volume.data, axis, 0)
    assert index in (gone, len(slices) - 1 - gone)
    assert len(slices) == known.slices + 1
    between = np.round(slices[[index - 1, index + 1]].astype(float).mean(axis=0))
    np.testing.assert_array_equal(slices[index], between)
    # Measured slices are the stored ones, in their order.
    stacked = engines.load("dicom", engine).convert(known.files, strict=False)
    np.testing.assert_array_equal(np.delete(slices, index, 0), np.moveaxis(stacked.data, axis, 0))


def test_both_engines_agree_on_the_filled_volume(read):
    a, b = (read(MIXED, e, "5")["T1w"] for e in ENGINES)
    np.testing.assert_array_equal(a.data, like(b, a))


@pytest.mark.parametrize("number", range(1, 10))
def test_every_transfer_syntax_gives_its_reference(number, dicom):
    """The files are mosaics; lossy ones decode to the reference's voxels as well."""
    file = dicom(SYNTAXES) / "In" / f"{number}.dcm"
    [series] = scan(file)
    assert (series.slices, series.rows, series.columns) == (35, 64, 64)
    volume = engines.load("dicom", "dcm2niix").convert(series.files)
    reference = nibabel.load(dicom(SYNTAXES) / "Ref" / f"{number}.nii")
    np.testing.assert_array_equal(volume.data, np.asarray(reference.dataobj))
    np.testing.assert_allclose(volume.affine, reference.affine, atol=1e-4)
    other = engines.load("dicom", "dicom2nifti").convert(series.files)
    np.testing.assert_array_equal(volume.data, like(other, volume))


@pytest.mark.parametrize("engine", ENGINES)
def test_whatever_is_in_the_folder_the_errors_are_ours(engine, dicom):
    """Every series of the vendor fixtures is converted or refused with a reason."""
    unexplained = False
    for series in quiet(scan, dicom(VENDORS)):
        try:
            volume = quiet(engines.load("dicom", engine).convert, series.files)
        except (InputError, EngineError) as error:
            unexplained = unexplained or not error.hint
        else:
            assert volume.data.ndim == 3
    assert not unexplained


# -- the scan of a dump -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (CHILD, [("T1w", "good")]),
        (MIXED, [("T1w", "repair"), ("T2w", "repair"), ("ASL", "good"), ("ASL", "good")]),
        (PHILIPS, [("T1w", "good")]),
        (NO_VENDOR, [("T1w", "good")]),
        (SYNTAXES, [("bold", "good")] * 9),
        ("fixtures-enhanced", [("bold", "refuse"), ("fieldmap", "refuse")]),
    ],
)
def test_every_archive_has_the_right_contrasts_and_verdicts(name, expected, dicom):
    found = quiet(read_dump, dicom(name))
    assert [(s.series.contrast, s.verdict.kind) for s in found] == expected


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("gantrytilting/001", "repair", "gantry tilt: 14.0°: sheared back into a volume"),
        ("notavolume/001", "refuse", "all 4 images lie at one position"),
        ("slicecount/001", "refuse", "too few slices: 2"),
        ("sliceincrement/001", "refuse", "1 of 5 slices missing: number 4, centred at (13.7, 5.4, 33.1)"),
        ("sliceincrement/002", "refuse", "1 of 5 slices missing"),
        ("sliceorientation/001", "refuse", "mixed orientation"),
    ],
)  # fmt: skip
def test_every_failing_folder_has_its_verdict(name, kind, why, dicom):
    for found in quiet(read_dump, dicom(VENDORS) / "failing" / name):
        assert found.verdict.kind == kind
        assert why in found.verdict.why


def test_contrasts_of_vendors_without_a_name_come_from_physics(dicom):
    contrasts = {
        "ge/anatomical/001": "T1w", "siemens/anatomical/001": "FLAIR", "hyperfine/anatomical/001": "FLAIR",
        "philips/anatomical/001": "FLAIR", "philips_enhanced/anatomical/001": "T1w",
        "hitachi/anatomical/001": "PDw",
    }  # fmt: skip
    for name, contrast in contrasts.items():
        [found] = quiet(read_dump, dicom(VENDORS) / name)
        assert found.series.contrast == contrast, name
        assert 0.5 < found.series.guessed.confidence < 0.9


def test_the_best_of_a_real_dump_is_read(dicom):
    [source] = quiet(list_cases, dicom(MIXED), wanted=["T2w"])
    case = quiet(open_case, source)
    assert case["T2w"].shape[2] == 56
    assert case.facts["age"] == 26

"""Search for files that a reader stumbles over, led by which of its lines they reach (Atheris).

    python tests/reliability/fuzz_readers.py READER SECONDS FOLDER

READER is one of those below. FOLDER keeps the files that reached something new (``corpus``: a second
search begins with them) and the faults (``faults``: a file each, and what it raised). A fault is any
exception but mriprep's own; a file that takes 25 s or 2 GiB ends the search.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mriprep", "nibabel", "pydicom", "yaml"]):
    import numpy as np

    import mriprep as mp
    from mriprep import ratings
    from mriprep.cases import list_cases
    from mriprep.cases.table import from_table
    from mriprep.core import Grid, MriprepError, Volume
    from mriprep.intake import read_case
    from mriprep.io.dicom import scan
    from mriprep.io.images import read_image, write_image
    from mriprep.io.inspect import inspect_image
    from mriprep.io.transforms import read_transform
    from mriprep.recipe import load

#: Longest file that is tried, bytes; the seeds are shorter.
LONGEST = 6000
HERE = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None


@dataclass(frozen=True)
class Reader:
    """What is fuzzed: the name a file gets, what reads it, what the search begins with."""

    name: str
    reads: tuple[Callable[[Path], object], ...]
    seeds: Callable[[Path], Iterator[bytes]]


def _made(folder: Path, *names: str, **how: object) -> Iterator[bytes]:
    """Small images as mriprep writes them: plain, turned, float, 4D of one volume."""
    turned = np.array([[0, 0, 2.0, -9], [-1.5, 0, 0, 4], [0, 1, 0, 1], [0, 0, 0, 1]])
    for name in names:
        for kind in (np.uint8, np.int16, np.float32, np.float64):
            data = np.arange(24).reshape(2, 3, 4).astype(kind)
            yield write_image(Volume(data, Grid(data.shape, turned)), folder / name).read_bytes()


def _nifti(folder: Path) -> Iterator[bytes]:
    import nibabel as nib

    yield from _made(folder, "a.nii", "a.nii.gz")
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        image = kind(np.arange(48, dtype=">i2").reshape(2, 3, 4, 2), np.eye(4))
        image.header.set_slope_inter(2, 1)
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"of anything"))
        yield image.to_bytes()


def _mgh(folder: Path) -> Iterator[bytes]:
    import nibabel as nib

    for kind in (np.uint8, np.int16, np.int32, np.float32):
        image = nib.MGHImage(np.arange(24, dtype=kind).reshape(2, 3, 4), np.eye(4))
        yield image.to_bytes()
        yield gzip.compress(image.to_bytes())


def _nrrd(folder: Path) -> Iterator[bytes]:
    yield from _made(folder, "a.nrrd", "a.mha")
    head = "NRRD0005\ntype: short\ndimension: 3\nspace: scanner-xyz\nsizes: 2 3 4\nendian: big\n"
    head += "space directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (1,2,3)\nkinds: domain domain domain\n"
    for encoding, data in (
        ("raw", bytes(48)),
        ("ascii", b"1 " * 24),
        ("hex", b"00" * 48),
        ("gz", gzip.compress(bytes(48))),
    ):
        yield f"{head}encoding: {encoding}\nkey:=value\n\n".encode() + data


def _slices(folder: Path) -> list[bytes]:
    """A series of four small slices."""
    from mriprep.core import Transform
    from mriprep.phantom import Phantom
    from mriprep.phantom.dicom import write_dicom

    small = Volume(
        np.arange(320, dtype=np.int16).reshape(8, 10, 4), np.diag([-2.0, -2.0, 3.0, 1.0])
    )
    facts = {"contrast": "T1w", "seed": 1, "age_years": 30.0}
    if not (folder / "dicom").is_dir():
        write_dicom(
            Phantom(small, small, small, small, Transform(np.eye(4)), facts=facts), folder / "dicom"
        )
    return [p.read_bytes() for p in sorted((folder / "dicom").rglob("*.dcm"))]


def _dicom(folder: Path) -> Iterator[bytes]:
    from pydicom import dcmread
    from pydicom.encaps import encapsulate
    from pydicom.uid import (  # fmt: skip
        DeflatedExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        JPEG2000Lossless,
        JPEGLSLossless,
        RLELossless,
    )

    whole = _slices(folder)[1]
    yield whole
    for syntax in (
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
        JPEGLSLossless,
    ):
        ds = dcmread(io.BytesIO(whole))
        if syntax == RLELossless:
            ds.compress(RLELossless, generate_instance_uid=False)
        elif syntax in (JPEG2000Lossless, JPEGLSLossless):
            import imagecodecs

            encode = (
                imagecodecs.jpeg2k_encode
                if syntax == JPEG2000Lossless
                else imagecodecs.jpegls_encode
            )
            voxels = ds.pixel_array.astype(np.uint16)
            ds.PixelData = encapsulate([encode(voxels)])
            ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = syntax
        out = io.BytesIO()
        ds.save_as(out)
        yield out.getvalue()


def _series(path: Path) -> object:
    """Read a series of which this is the second slice."""
    folder = path.parent / "series"
    if not folder.is_dir():
        folder.mkdir()
        for i, content in enumerate(_slices(path.parent)):
            (folder / f"{i}.dcm").write_bytes(content)
    (folder / "1.dcm").write_bytes(path.read_bytes())
    return mp.read(folder)


def _zips(folder: Path) -> Iterator[bytes]:
    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", how) as archive:
            archive.writestr("a/1.dcm", _slices(folder)[1])
        yield out.getvalue()


def _recipes(folder: Path) -> Iterator[bytes]:
    from importlib.resources import files

    for recipe in files("mriprep.recipes").iterdir():
        if recipe.name.endswith(".yaml"):
            yield recipe.read_bytes()
    yield b"name: a\nsteps:\n- n4: {shrink: 2}\n- &z zscore\n- *z\n"


def _tables(folder: Path) -> Iterator[bytes]:
    yield b"subject,T1w,FLAIR,age,sex\nsub-01,a.nii.gz,b.nii.gz,7.5,F\nsub-02,~/c.nii.gz,,007M,m\n"
    yield b"participant_id\tsession\tcontrast\tpath\trole\tvolume\nsub-01\t1\tT1w\ta.nii\timage\t0\n"
    yield b'subject;path;series;site;split\n1;"dicom";3;A;train\n'


def _parquet(folder: Path) -> Iterator[bytes]:
    import pyarrow as pa
    from pyarrow import parquet

    for age in ([7.5, None], ["7.5", "8"], [b"7", b""]):
        rows = pa.table({"subject": ["sub-01", "sub-02"], "T1w": ["a.nii.gz", None], "age": age})
        parquet.write_table(rows, folder / "a.pq")
        yield (folder / "a.pq").read_bytes()


def _transforms(folder: Path) -> Iterator[bytes]:
    from mriprep.core import Transform
    from mriprep.io.transforms import write_transform

    for name in ("a.tfm", "a.mat"):
        yield write_transform(Transform(np.diag([1.0, 1, 2, 1])), folder / name).read_bytes()
    yield b"#Insight Transform File V1.0\n#Transform 0\nTransform: Euler3DTransform_double_3_3\nParameters: 0 0 0.1 1 2 3\nFixedParameters: 0 0 0\n"


def _sidecars(folder: Path) -> Iterator[bytes]:
    yield b'{"EchoTime": 0.003, "RepetitionTime": 2.3, "PatientAge": "030Y", "Manufacturer": "x", "SeriesDescription": "t1"}'
    yield b'[1, NaN, {"a": null}]'


def _beside(path: Path) -> object:
    """Read a scan of which this is the sidecar."""
    scan_ = path.with_suffix(".nii")
    if not scan_.is_file():
        write_image(Volume(np.zeros((2, 3, 4), np.uint8), np.eye(4)), scan_)
    case = read_case(scan_)
    return mp.recipe("pediatric-t1").plan(case), list_cases(scan_)


def _ratings(path: Path) -> object:
    return ratings.parse(path.parent)


READERS = {
    "nifti": Reader("odd.nii", (inspect_image, read_image), _nifti),
    "mgh": Reader("odd.mgz", (inspect_image, read_image), _mgh),
    "nrrd": Reader("odd.nrrd", (inspect_image, read_image), _nrrd),
    "dicom": Reader("odd.dcm", (scan,), _dicom),
    "series": Reader("odd.dcm", (_series,), _dicom),
    "zip": Reader("odd.zip", (scan,), _zips),
    "recipe": Reader("odd.yaml", (load,), _recipes),
    "table": Reader("odd.csv", (from_table,), _tables),
    "parquet": Reader("odd.parquet", (from_table,), _parquet),
    "transform": Reader("odd.tfm", (read_transform,), _transforms),
    "sidecar": Reader("odd.json", (_beside,), _sidecars),
    "ratings": Reader(
        "ratings.tsv",
        (_ratings,),
        lambda f: iter(
            [b"case\tcontrast\trating\tnote\trater\ttime\nsub-01\tT1w\tfail\ta\\tb\tr\t2026\n"]
        ),
    ),
}


def place_of(error: BaseException) -> str:
    """What tells faults apart: the kind of error, and where in mriprep it came through last."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "mriprep" in f.filename and "fuzz_readers" not in f.filename]
    last = (ours or frames)[-1]
    return f"{type(error).__name__}-{Path(last.filename).stem}-{last.lineno}"


def main(which: str, seconds: int, folder: Path) -> None:
    """Search for so long."""
    reader = READERS[which]
    corpus, faults = folder / "corpus", folder / "faults"
    corpus.mkdir(parents=True, exist_ok=True)
    faults.mkdir(exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="fuzz-", dir=HERE))
    for number, seed in enumerate(reader.seeds(place)):
        (corpus / f"seed-{number}").write_bytes(seed)
    path = place / reader.name

    def tried(content: bytes) -> None:
        path.write_bytes(content)
        for read in reader.reads:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    read(path)
                except MriprepError as error:
                    assert error.message  # noqa: PT017
                except Exception as error:
                    name = re.sub(r"[^\w-]", "", place_of(error))
                    if not (faults / name).exists():  # one file of each is enough
                        (faults / name).write_bytes(content)
                        (faults / f"{name}.txt").write_text(traceback.format_exc(), "utf-8")

    arguments = [sys.argv[0], f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-timeout=25",
                 "-rss_limit_mb=2048", f"-artifact_prefix={faults}/", "-print_final_stats=1",
                 "-verbosity=1", str(corpus)]  # fmt: skip
    atheris.Setup(arguments, tried)
    atheris.Fuzz()  # ends the process


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))

"""What searches found (fuzz_readers.py, the long forms), each by its file, so that it stays mended."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tally

import mriprep as mp
from mriprep.cases.table import from_table
from mriprep.core import InputError, MriprepWarning
from mriprep.intake import read_case
from mriprep.io.archive import unzip_into
from mriprep.io.dicom import scan
from mriprep.io.inspect import inspect_image

SMALL = mp.Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))

META = "ObjectType = Image\nNDims = {rank}\nBinaryData = True\nDimSize = {sizes}\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"


@pytest.mark.parametrize(("rank", "sizes"), [(1, "2 3 4"), (2, "2 3 4"), (100_000, "2 3 4"), (3, "2 3 4 5"), (11, "1 " * 11),
                                             (-1, "2 3 4")])  # fmt: skip
def test_metaimage_of_other_ranks(tmp_path, rank, sizes):
    """As many sizes as axes; a matrix of a hundred thousand axes is not made."""
    path = tmp_path / "odd.mha"
    path.write_bytes(META.format(rank=rank, sizes=sizes).encode() + bytes(24))
    for read in (inspect_image, mp.read):
        tally.case()
        with pytest.raises(InputError, match="damaged"):
            read(path)


@pytest.mark.parametrize("cell", ["~0", "~\0", "~nobody-is-called-so/a.nii"])
def test_tables_with_tildes_that_are_nobodys(tmp_path, cell):
    path = tmp_path / "odd.csv"
    path.write_text(f"subject,T1w\n1,{cell}\n2,here.nii\n")
    (tmp_path / "here.nii").touch()
    tally.case()
    assert [c.name for c in from_table(path)] == ["sub-1", "sub-2"]


def _table(path, **columns):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), path)
    return path


def test_parquet_with_names_that_are_no_text(tmp_path):
    path = _table(tmp_path / "odd.parquet", subject=["1"], T1w=["a.nii"])
    path.write_bytes(path.read_bytes().replace(b"subject", b"sub\xe1ect"))
    tally.case()
    with pytest.raises(InputError, match=r"odd\.parquet"):
        from_table(path)


def test_parquet_of_any_number_of_rows(tmp_path):
    """Rows that are all the same take no space in a file, and all of it in memory."""
    import pyarrow as pa

    from mriprep.cases.table import MOST_ROWS

    nulls = pa.nulls(MOST_ROWS + 1, pa.string())
    path = _table(tmp_path / "many.parquet", subject=nulls, T1w=nulls)
    assert path.stat().st_size < 10**5
    tally.case()
    with pytest.raises(InputError, match="rows"):
        from_table(path)


@pytest.mark.parametrize(
    "contrast",
    ["../evil", "x/../../../../evil", "/evil", "a\\b", "a b", "", "n" * 65, "T1w\n", "é"],
)
def test_a_contrast_that_would_lead_out(tmp_path, contrast):
    """Files are named after contrasts: a table's could have been a way out of the folder of outputs."""
    image = mp.write(SMALL, tmp_path / "in" / "a.nii.gz")
    tally.case()
    with pytest.raises(InputError, match="contrast"):
        mp.Case("sub-1", {contrast: SMALL})
    if contrast.strip() != contrast or not contrast:
        return  # a table's cell has no such ends
    (tmp_path / "t.tsv").write_text(f"subject\tcontrast\tpath\n1\t{contrast}\t{image}\n")
    tally.case()
    with pytest.raises(InputError, match="line 2"):
        from_table(tmp_path / "t.tsv")


def test_contrasts_that_some_disks_take_for_one(tmp_path):
    tally.case(2)
    with pytest.raises(InputError, match="case alone"):
        mp.Case("sub-1", {"Foo": SMALL, "foo": SMALL})
    (tmp_path / "t.csv").write_text("subject,contrast,path\n1,Foo,a.nii\n1,foo,a.nii\n")
    (tmp_path / "a.nii").touch()
    with pytest.raises(InputError, match="line 3"):
        from_table(tmp_path / "t.csv")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_sidecar_that_cannot_be_read_is_told(tmp_path, content):
    """A template goes by the age: where the file that may give it cannot be read, that is said."""
    image = mp.write(SMALL, tmp_path / "sub-01_T1w.nii.gz")
    (tmp_path / "sub-01_T1w.json").write_bytes(content)
    tally.case()
    with pytest.warns(MriprepWarning, match="cannot be read"):
        read_case(image)


def test_who_reads_what_is_printed_goes_away(tmp_path):
    """The exit code is not that of a run that came to its end."""
    reader, writer = os.pipe()
    os.close(reader)
    said = subprocess.run(
        [sys.executable, "-m", "mriprep", "steps"],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    tally.case()
    assert said.returncode == 1
    assert said.stderr == b""


@pytest.mark.parametrize("name", [b"", b"a/1.\xa5cm"])
def test_archives_whose_names_are_none(tmp_path, name):
    """A member without a name, or with one that is no UTF-8 and says that it is."""
    path = tmp_path / "odd.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("é" if name else "a", b"x")
    whole = path.read_bytes()
    start = whole.index(b"PK\x01\x02")
    end = whole.index(b"PK\x05\x06")
    entry = bytearray(whole[start : start + 46])
    entry[28:30] = len(name).to_bytes(2, "little")
    entry += name
    tail = bytearray(whole[end:])
    tail[12:16] = len(entry).to_bytes(4, "little")
    path.write_bytes(whole[:start] + bytes(entry) + bytes(tail))
    (tmp_path / "in").mkdir()
    for read in (scan, lambda p: unzip_into(p, tmp_path / "in")):
        tally.case()
        with pytest.raises(InputError, match="cannot be unpacked"):
            read(path)

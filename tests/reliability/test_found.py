"""What searches found (fuzz_readers.py, the long forms), each by its file, so that it stays mended."""

from __future__ import annotations

import pytest
import tally

import mriprep as mp
from mriprep.cases.table import from_table
from mriprep.core import InputError
from mriprep.io.inspect import inspect_image

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

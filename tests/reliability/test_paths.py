"""What paths lead to: pipes, devices, loops, names that no disk takes, archives that lead out or grow."""

from __future__ import annotations

import contextlib
import io
import os
import time
import unicodedata
import warnings
import zipfile

import numpy as np
import pytest
import tally

import mriprep as mp
from mriprep import ratings, records, weights
from mriprep.cases import CaseSource, ImageSource, list_cases
from mriprep.cases.table import from_table
from mriprep.cohorts.clusters import read_options
from mriprep.cohorts.report import report
from mriprep.cohorts.run import run_cohort
from mriprep.core import EngineError, EngineMissing, InputError, MriprepError
from mriprep.deid.keymap import read_map
from mriprep.export import leak_sources
from mriprep.export.persons import read_key
from mriprep.io.ages import from_tables
from mriprep.io.archive import unzip_into
from mriprep.io.dicom import scan
from mriprep.io.images import read_image, write_image
from mriprep.io.predictions import read_array, read_classes
from mriprep.io.slices import read_slices
from mriprep.io.transforms import read_transform
from mriprep.recipe import load, load_frozen
from mriprep.steps._states import read_state
from mriprep.templates import catalogue
from mriprep.viewer.images import find

SMALL = mp.Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
READERS = {"image": mp.read, "recipe": load, "table": from_table, "transform": read_transform,
           "cases": list_cases, "dicom": scan}  # fmt: skip
ENDINGS = {"image": ".nii.gz", "recipe": ".yaml", "table": ".csv", "transform": ".tfm", "cases": ".csv",
           "dicom": ""}  # fmt: skip


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    "what", ["pipe", "device", "endless", "loop", "long", "nul", "missing", "nowhere"]
)
def test_what_is_no_file(tmp_path, kind, what):
    path = tmp_path / f"odd{ENDINGS[kind]}"
    if what == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no pipes on this system")
        os.mkfifo(path)
    elif what in ("device", "endless"):
        target = "/dev/tty" if what == "device" else "/dev/zero"
        if not os.path.exists(target):
            pytest.skip("no devices on this system")
        path.symlink_to(target)
    elif what == "loop":
        path.symlink_to(path)
    elif what == "long":
        path = tmp_path / ("n" * 300 + ENDINGS[kind])
    elif what == "nul":
        path = tmp_path / f"a\0b{ENDINGS[kind]}"
    elif what == "nowhere":
        path.symlink_to(tmp_path / "gone")
    tally.case()
    with pytest.raises(MriprepError):
        READERS[kind](path)


def _all_below(path):
    return list(records.every(path.parents[2])), find(path.parents[2])


#: What else is read, each by the name of its file.
OTHERS = {
    "ratings.tsv": lambda p: ratings.parse(p.parent), "a.recipe": load, "b.recipe": load_frozen,
    "state.json": read_state, "p.npy": read_array, "p.nii.gz": read_classes, "s_slices.json": read_slices,
    "key.tsv": read_key, "splits_final.json": leak_sources.read, "splits.tsv": leak_sources.read,
    "map.bin": lambda p: read_map(p, "a passphrase of words"), "templates.yaml": lambda p: catalogue.load([p.parent]),
    "options.yaml": read_options, "weights.pt": lambda p: weights.find("synthstrip", p), "t.parquet": from_table,
    "a_record.json": records.load, "qc.json": lambda p: find(p.parent), "dump.zip": list_cases,
    "participants.tsv": lambda p: from_tables(p.parent / "a.nii", "sub-01"),
    "dataset_description.json": lambda p: list_cases(p.parent),
    "out/sub-01/anat/sub-01_T1w_record.json": _all_below,
    "out/sub-01/anat/sub-01_T1w_quality.json": _all_below,
    "runs/x/events.jsonl": lambda p: report(p.parents[2]),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("what", ["pipe", "endless"])
def test_nothing_is_waited_for(tmp_path, name, what):
    """Whatever mriprep reads may be a pipe or a device: it is refused or passed by, in no time."""
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if what == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no pipes on this system")
        os.mkfifo(path)
    else:
        if not os.path.exists("/dev/zero"):
            pytest.skip("no devices on this system")
        path.symlink_to("/dev/zero")
    tally.case()
    began = time.process_time()
    with warnings.catch_warnings(), contextlib.suppress(MriprepError):
        warnings.simplefilter("ignore")
        OTHERS[name](path)
    assert time.process_time() - began < 10


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
@pytest.mark.parametrize("name", ["sub-01_T1w.json", "../../participants.tsv", "sub-01_T1w.bvec"])
def test_pipes_beside_a_scan(tmp_path, name):
    """Sidecars and tables that somebody made pipes of are passed by; nothing waits for them."""
    anat = tmp_path / "ds" / "sub-01" / "anat"
    mp.write(SMALL, anat / "sub-01_T1w.nii.gz")
    (tmp_path / "ds" / "dataset_description.json").write_text(
        '{"Name": "a", "BIDSVersion": "1.9.0"}'
    )
    os.mkfifo(anat / name)
    tally.case()
    try:
        assert [c.name for c in list_cases(tmp_path / "ds")] == ["sub-01"]
        mp.read(anat / "sub-01_T1w.nii.gz")
    except InputError as error:
        assert error.message  # noqa: PT017


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "it's",
        'q"uote',
        "名前",
        "é",
        "e\u0301",
        "\u202egnp",
        "a\nb",
        "-rf",
        "$(id)",
        "a;b",
        "%s",
        "x" * 200,
        "...",
    ],
)
def test_odd_names(tmp_path, name):
    """Whatever a folder is called, files in it are written and read."""
    volume = SMALL
    path = mp.write(volume, tmp_path / name / "scan.nii.gz")
    tally.case()
    assert (mp.read(path).data == volume.data).all()
    assert [p.name for p in path.parent.iterdir()] == ["scan.nii.gz"]


MEMBERS = ["../evil.dcm", "/evil.dcm", "a/../../evil.dcm", "..\\evil.dcm", "C:\\evil.dcm", "C:evil.dcm",
           "a/./../../evil.dcm", "~/../../evil.dcm", "//evil.dcm", "\\\\host\\evil.dcm"]  # fmt: skip


@pytest.mark.parametrize("member", MEMBERS)
def test_archives_that_lead_out(tmp_path, member):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("good.dcm", b"good")
        info = zipfile.ZipInfo("x")
        info.filename = member
        archive.writestr(info, b"evil")
    (tmp_path / "in").mkdir()
    tally.case()
    with pytest.raises(InputError, match="outside"):
        unzip_into(path, tmp_path / "in")
    with pytest.raises(InputError, match="outside"):
        scan(path)
    assert {p.name for p in tmp_path.rglob("*")} <= {"evil.zip", "in"}
    assert not os.path.exists("/evil.dcm")


def test_an_archive_with_links(tmp_path):
    """A link in an archive is a small file, not a way out."""
    path = tmp_path / "links.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc")
        archive.writestr("link/passwd", b"evil")
    (tmp_path / "in").mkdir()
    tally.case()
    with pytest.raises(MriprepError, match="link"):
        scan(path)
    assert not any(p.is_symlink() for p in tmp_path.rglob("*"))


def test_a_bomb(tmp_path):
    """2 GiB of nothing in 2 MiB: refused by the table of contents, before a byte is unpacked."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a.dcm", bytes(2**20))
    content = path.read_bytes().replace(
        (2**20).to_bytes(4, "little"), (2**31).to_bytes(4, "little")
    )
    path.write_bytes(content)
    tally.case()
    with pytest.raises(InputError, match="would unpack to"):
        scan(path)
    inner = io.BytesIO(content)
    with zipfile.ZipFile(path, "w") as archive:  # and one within another is not opened at all
        archive.writestr("inner.zip", inner.getvalue())
    with pytest.raises(InputError):
        scan(path)
    tally.case()


@pytest.mark.parametrize(
    "names", [("sub-A", "sub-a"), ("sub-01", "sub-01"), ("sub-é", unicodedata.normalize("NFD", "sub-é")),
              ("sub-STRASSE", "sub-straße")],
)  # fmt: skip
def test_names_that_some_disks_take_for_one(tmp_path, names):
    path = mp.write(SMALL, tmp_path / "a.nii.gz")
    cases = [CaseSource(n, n[4:], None, (ImageSource("T1w", str(path)),)) for n in names]
    recipe = load({"name": "cheap", "steps": ["zscore"]})
    tally.case()
    with pytest.raises(InputError, match="two cases"):
        run_cohort(recipe, cases, tmp_path / "out")


def test_links_among_outputs_are_replaced_not_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("keep")
    volume = SMALL
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.nii").symlink_to(secret)
    write_image(volume, tmp_path / "out" / "a.nii")
    tally.case()
    assert secret.read_text() == "keep"
    assert read_image(tmp_path / "out" / "a.nii").data.shape == volume.data.shape


class Evil:
    """What a pickle can hold."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (os.mkdir, (str(self.mark),))


def test_weights_that_would_run_code(tmp_path):
    import torch

    from mriprep.engines.brain.synthstrip import _state

    path = tmp_path / "synthstrip.1.pt"
    torch.save({"model_state_dict": {"a": Evil(tmp_path / "mark")}}, path)
    tally.case()
    with pytest.raises((EngineError, EngineMissing)):
        _state(path, 0)
    assert not (tmp_path / "mark").exists()

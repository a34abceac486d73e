"""Decoders in C and C++ that crash: the program that asked for the pixels goes on, and says so."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tally
from pydicom import dcmread
from pydicom.uid import RLELossless

import mriprep as mp
from mriprep.core import EngineError, InputError, MriprepError, Transform, Volume
from mriprep.engines.dicom import dicom2nifti
from mriprep.phantom import Phantom
from mriprep.phantom.dicom import write_dicom


@pytest.fixture
def packed(tmp_path):
    """Six slices, compressed, and the volume that they are."""
    data = np.random.default_rng(0).integers(0, 900, (8, 10, 6)).astype(np.int16)
    small = Volume(data, np.diag([-2.0, -2.0, 3.0, 1.0]))
    facts = {"contrast": "T1w", "seed": 1, "age_years": 30.0}
    write_dicom(
        Phantom(small, small, small, small, Transform(np.eye(4)), facts=facts), tmp_path / "in"
    )
    files = sorted((tmp_path / "in").rglob("*.dcm"))
    for file in files:
        ds = dcmread(io.BytesIO(file.read_bytes()))
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.save_as(file)
    return files, small


def test_compressed_pixels_are_decoded_elsewhere(packed, monkeypatch):
    files, small = packed
    monkeypatch.setattr(dicom2nifti, "_convert", None)  # not in this process
    made = dicom2nifti.convert(files)
    assert sorted(made.data.ravel()) == sorted(small.data.ravel())
    tally.case()


@pytest.mark.parametrize(
    ("fault", "told"),
    [("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
     ("import os; os._exit(0)", "status 0")],
)  # fmt: skip
def test_a_decoder_that_crashes(packed, tmp_path, monkeypatch, fault, told):
    """Whatever it does to its process, it is an error of this series alone."""
    code = f"import pydicom.dataset as d\\ndef crash(*_):\\n    {fault}\\nd.Dataset.pixel_array = property(crash)\\n"
    (tmp_path / "sitecustomize.py").write_text(code.replace("\\n", "\n"))
    monkeypatch.syspath_prepend(tmp_path)
    tally.case()
    with pytest.raises(EngineError, match=told):
        mp.read(packed[0][0].parent, engine="dicom2nifti")


def test_what_is_wrong_is_said_as_it_is(packed):
    """An error of the other process is the error here."""
    files, _ = packed
    tally.case(2)
    with pytest.raises(InputError, match="too few slices"):
        dicom2nifti.convert(files[:2])
    files[1].write_bytes(files[1].read_bytes()[:-60])
    with pytest.raises(MriprepError):
        dicom2nifti.convert(files)

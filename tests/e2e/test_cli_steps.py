"""What single steps say: errors in the terms of the command line, short results, exit codes."""

from __future__ import annotations

import types

import pytest

from mriprep import engines
from mriprep.cli import progress
from mriprep.core import EngineError
from mriprep.engines import _device
from mriprep.qc import words


def test_a_value_out_of_range_names_the_option_and_the_range(cli, scan, tmp_path):
    said = cli("skullstrip", scan, tmp_path / "b.nii.gz", "--border", "99")
    said.refused("--border '99' is not accepted: it should be from -10 to 30 mm")
    assert "Input" not in said.err
    assert "skullstrip.border" not in said.err


def test_what_is_on_record_of_a_brain_is_short_in_words():
    facts = {"engine": "deepbet", "score": 0.9213, "wanted": 0.5, "least_deep": 11.2467,
             "expected_ml": [300, 2100], "tried": {"deepbet": 0.9213, "hd-bet": "failed: no memory"}}  # fmt: skip
    told = (
        "engine deepbet, score 0.92 (0.5 is wanted); tried: deepbet 0.92, hd-bet failed: no memory"
    )
    assert words.brain(facts) == told
    assert words.products({"brain_volume_ml": 1400.0, "brain": facts}) == [
        ("brain volume", "1400 ml"),
        ("brain", told),
    ]


def test_a_scan_given_as_its_own_mask_is_doubtful(cli, scan, tmp_path):
    said = cli("tissues", scan, tmp_path / "t.nii.gz", "--mask", scan)
    assert said.code == 4
    assert "ml; a brain has 300 to 2100 ml" in said.err
    assert (tmp_path / "t.nii.gz").is_file()


@pytest.mark.parametrize(("gone", "code"), [("antspyx", 0), ("nnunetv2", 0), ("deepbet", 1)])
def test_doctor_fails_only_where_the_defaults_do(cli, monkeypatch, gone, code):
    real = engines.installed_version
    wanted = ("deepbet", "torch", "dcm2niix", "lapgm")
    monkeypatch.setattr(
        engines,
        "installed_version",
        lambda n: None if n == gone else real(n) or ("1" if n in wanted else None),
    )
    assert cli("doctor").code == code


def test_doctor_says_why_the_folder_is_where_it_is(cli, monkeypatch, tmp_path):
    monkeypatch.delenv("MRIPREP_WEIGHTS", raising=False)
    assert "(the user's cache; MRIPREP_WEIGHTS names another)" in cli("doctor").out
    monkeypatch.setenv("MRIPREP_WEIGHTS", str(tmp_path / "w"))
    assert f"{tmp_path / 'w'} (set by MRIPREP_WEIGHTS)" in cli("doctor").out


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, ""),
        (2.0, ""),
        (20.0, "mindgrab runs on the CPU: this takes some ten seconds\n"),
        (50.0, "mindgrab runs on the CPU: this takes about a minute\n"),
        (100.0, "mindgrab runs on the CPU: this takes some minutes\n"),
    ],
)
def test_what_takes_long_is_said_before(capsys, monkeypatch, seconds, told):
    monkeypatch.setattr(progress, "say_if_first", lambda: None)
    with progress.working("skullstrip", seconds, "mindgrab"):
        assert capsys.readouterr().err == told


def test_a_slow_engine_is_named_by_its_command(cli, scan, tmp_path, monkeypatch):
    def none(*_, **__):
        raise EngineError("no brain")

    monkeypatch.setattr(engines, "load", lambda *_: types.SimpleNamespace(probability=none))
    monkeypatch.setattr(_device, "on_gpu", lambda device: False)
    for quick in ("template", "deepbet"):  # three seconds are not worth a word
        said = cli("skullstrip", scan, tmp_path / "b.nii.gz", "--engine", quick)
        assert "runs on" not in said.err
    monkeypatch.setattr(progress, "_LONG", 2.0)
    said = cli("skullstrip", scan, tmp_path / "b.nii.gz", "--engine", "template")
    assert "template runs on the CPU: this takes a few seconds\n" in said.err

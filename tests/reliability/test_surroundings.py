"""Where there is no home, no user, no network, no locale, and paths are odd: the same comes out."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tally

import mriprep as mp
from mriprep.core import Transform
from mriprep.phantom import Phantom
from mriprep.phantom.dicom import write_dicom

HERE = Path(__file__).parent
NO_HOME = {"HOME": None, "XDG_CACHE_HOME": None}
#: What is missing: words for bare.py, and variables.
SURROUNDINGS = {
    "no home, no user, no network": (
        "user network", {**NO_HOME, "LOGNAME": None, "USER": None, "USERNAME": None},
    ),
    # A file as home: nothing can be made in it, by the superuser neither.
    "read-only home, no locale, no working folder": (
        "folder", {
            "HOME": os.devnull, "XDG_CACHE_HOME": None, "LANG": None, "LC_ALL": "C", "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": None,
        },
    ),
}  # fmt: skip
RECIPE = "name: bare\nsteps:\n- background\n- n4: {shrink: 2}\n- zscore\n- slices\n"


@pytest.fixture(scope="module")
def odd(tmp_path_factory) -> Path:
    """A small ball as DICOM and NIfTI, in a folder whose name has all that shells and URLs mind."""
    folder = tmp_path_factory.mktemp("bare") / 'it\'s a "scan" é名 %20 #?&$(x)'
    places = np.indices((24, 28, 22)) - np.array([12, 14, 11])[:, None, None, None]
    inside = (places**2).sum(0) < 100
    noise = np.random.default_rng(0).integers(0, 40, inside.shape)
    ball = mp.Volume((noise + 400 * inside).astype(np.int16), np.diag([-6.0, -6.0, 6.0, 1.0]))
    facts = {"contrast": "T1w", "seed": 1, "age_years": 30.0}
    write_dicom(
        Phantom(ball, ball, ball, ball, Transform(np.eye(4)), facts=facts), folder / "dicom"
    )
    mp.write(ball, folder / "sub-01_T1w.nii.gz")
    (folder / "bare.yaml").write_text(RECIPE)
    return folder


def commands(odd: Path, out: Path) -> list[list[str]]:
    """All that leaves files."""
    scan, made = str(odd / "sub-01_T1w.nii.gz"), str(out / "made")
    return [
        ["convert", str(odd / "dicom"), str(out / "converted.nii.gz")],
        ["run", scan, made, "--recipe", str(odd / "bare.yaml")],
        ["export", made, "--to", "slices", "--output", str(out / "slices")],
        ["deidentify", str(odd / "dicom"), str(out / "shared")],
    ]


def run(without: str, variables: dict[str, str | None], odd: Path, out: Path) -> dict[str, bytes]:
    """Do it; images by their voxels."""
    out.mkdir()
    env = {k: v for k, v in {**os.environ, **variables}.items() if v is not None}
    said = subprocess.run(
        [sys.executable, HERE / "bare.py", without, out, json.dumps(commands(odd, out))],
        env=env,
        capture_output=True,
        check=False,
    )
    text = (said.stdout + said.stderr).decode(errors="replace")
    assert said.returncode == 0, text
    assert "Traceback" not in text
    found = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        data = path.read_bytes()
        name = path.relative_to(out).as_posix()
        if name.startswith("shared/"):  # identifiers are random
            name, data = f"shared/*{path.suffix}", b""
        found[name] = gzip.decompress(data) if name.endswith(".gz") else b""
    return found


@pytest.fixture(scope="module")
def usual(odd) -> dict[str, bytes]:
    """What comes out in the usual surroundings."""
    found = run("", {}, odd, odd.parent / "usual out")
    assert {"converted.nii.gz", "made/sub-01_T1w.html", "shared/*.dcm"} <= set(found)
    return found


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps homes and locales otherwise")
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_the_same_comes_out(name, odd, usual):
    assert run(*SURROUNDINGS[name], odd, odd.parent / f'{name} é " out') == usual
    tally.case(4)


def test_no_home_and_a_fetch(tmp_path):
    """What cannot be kept anywhere is said, with what to do; no folder called ~ comes into being."""
    for command, wanted in ((["fetch", "mindgrab"], "MRIPREP_WEIGHTS"),
                            (["templates", "fetch", "MNI152NLin6Asym"], "TEMPLATEFLOW_HOME")):  # fmt: skip
        said = subprocess.run(
            [sys.executable, HERE / "bare.py", "user network", tmp_path, json.dumps([command])],
            env={k: v for k, v in os.environ.items() if k not in (*NO_HOME, "TEMPLATEFLOW_HOME", "MRIPREP_WEIGHTS")},
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert said.returncode == 1, said.stderr
        assert "home folder" in said.stderr
        assert wanted in said.stderr
        assert not any(tmp_path.iterdir())
        tally.case()


@pytest.mark.parametrize("name", ["~0", "~nobody-is-called-so/a", "a~"])
def test_a_tilde_that_is_nobodys(tmp_path, monkeypatch, name):
    """A name that begins with ~ and stands for no user is a name like others."""
    monkeypatch.chdir(tmp_path)
    volume = mp.Volume(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    path = f"{name}.nii.gz"
    mp.write(volume, path)
    assert (mp.read(path).data == volume.data).all()
    tally.case()

"""Where there is no home, no network, no locale: the same file comes out."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys

import numpy as np
import pytest
import tally

import mriprep as mp

SURROUNDINGS = {
    "no home": {"HOME": None, "XDG_CACHE_HOME": None},
    # A file as home: nothing can be made in it, by the superuser neither.
    "read-only home, no network, no locale": {
        "HOME": os.devnull, "XDG_CACHE_HOME": None, "LANG": None, "LC_ALL": "C", "PYTHONUTF8": "0",
        "PYTHONIOENCODING": None, "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9",
    },
}  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps homes and locales otherwise")
@pytest.mark.parametrize("name", SURROUNDINGS)
def test_the_same_comes_out(name, tmp_path):
    scan = tmp_path / 'it\'s a "scan" é' / "sub-01_T1w.nii.gz"
    rng = np.random.default_rng(0)
    mp.write(mp.Volume(rng.integers(0, 99, (20, 18, 16)).astype(np.int16), np.eye(4)), scan)
    env = {k: v for k, v in {**os.environ, **SURROUNDINGS[name]}.items() if v is not None}
    out = scan.parent / "out put.nii.gz"
    said = subprocess.run(
        [sys.executable, "-m", "mriprep", "zscore", str(scan), str(out)],
        env=env,
        capture_output=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr.decode(errors="replace")
    here = mp.write(mp.zscore(mp.read(scan)), tmp_path / "here.nii.gz")
    assert gzip.decompress(out.read_bytes()) == gzip.decompress(here.read_bytes())
    tally.case()

"""What docs/deface.md shows is so: its commands and its snippet run, its tables name what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import mriprep as mp
from mriprep.cli import main
from mriprep.phantom import head
from mriprep.steps.deface import Method

PAGE = (Path(__file__).parents[2] / "docs" / "deface.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, flags=re.DOTALL | re.M)


def test_commands_and_the_snippet_run_in_their_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = head("T1w", spacing=5.0, labels=False, dtype="int16")
    mp.write(made.image, "sub-01_T1w.nii.gz")
    mp.write(made.brain, "brain.nii.gz")
    mp.write(made.image.replace(made.image.data // 2), "sub-01_T2w.nii.gz")
    names, commands = {"__name__": "snippet"}, []
    for language, code in BLOCKS:
        if language == "python":
            exec(compile(code, "docs/deface.md", "exec"), names)
            continue
        for line in code.splitlines():
            if line.startswith("mriprep run"):  # sessions' own tests run it; here, that it can be
                Path("session").mkdir()
                mp.write(made.image, "session/T1w.nii.gz")
                mp.write(made.image, "session/FLAIR.nii.gz")
                line = "mriprep plan session/ --recipe deface"
            with pytest.raises(SystemExit) as left:
                main(shlex.split(line)[1:])
            assert left.value.code == 0, (line, capsys.readouterr())
            commands.append(line.split()[1])
    assert commands == ["deface", "deface", "plan"]
    assert names["kept"]["defaced"]["brain_voxels_touched"] == 0
    ours, file = names["defaced"], mp.read("defaced/sub-01_T1w.nii.gz")
    np.testing.assert_array_equal(ours.data, file.data)
    face = names["kept"]["face"].data
    assert face.any()
    assert not mp.read("defaced/sub-01_T2w.nii.gz").data[face].any()


def test_methods_and_links():
    assert tuple(re.findall(r"^\| `(blank|blur|shear)` \|", PAGE, flags=re.M)) == get_args(Method)
    page = Path(__file__).parents[2] / "docs"
    for link in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (page / link).is_file(), link

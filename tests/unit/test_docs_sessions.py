"""The examples of docs/sessions.md run as they stand, and do what the text says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mriprep as mp
from mriprep.phantom import head, template
from mriprep.recipe import parse

PAGE = (Path(__file__).parents[2] / "docs" / "sessions.md").read_text(encoding="utf-8")


def parts(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_recipe_is_one() -> None:
    (text,) = parts("yaml")
    recipe = parse(text)
    assert recipe.session is not None
    assert recipe.session.shape == (240, 240, 155)
    assert [e.step.name for e in recipe.session.estimate_on] == ["n4"]


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = parts("python")
    for contrast, how in {
        "T1w": {"spacing": 3.0, "rotation": (4, 0, 3)},
        "FLAIR": {"spacing": (3, 3, 6), "translation": (3, 6, -4)},
    }.items():
        scan = head(contrast, labels=False, **how).image
        mp.write(scan, tmp_path / "session" / f"sub-1_{contrast}.nii.gz")
    mp.write(template(spacing=3.0), tmp_path / "head_T1w.nii.gz")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(text, names)
    run = names["run"]
    assert (run.reference, run.contrasts) == ("T1w", ("T1w", "FLAIR"))
    assert names["t1"].grid.matches(names["flair"].grid)
    assert names["laid"].reference_name == "T1w"
    assert (tmp_path / "reports" / "sub-1.html").is_file()
    assert (tmp_path / "derivatives" / "dataset_description.json").is_file()
    assert not run.session.all_warnings, run.session.all_warnings


def test_the_commands_are_commands() -> None:
    first = next(p for p in re.findall(r"```\n(mriprep run.*?)```", PAGE, flags=re.DOTALL))
    for line in first.splitlines():
        words = line.split("#")[0].split()
        assert words[1] in ("run", "plan")
        assert words[words.index("--recipe") + 1] in mp.recipe.__globals__["recipes"].presets()

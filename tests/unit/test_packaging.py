"""What releases are made of, as far as it can be checked without the services that make them."""

from __future__ import annotations

import importlib.util
import re
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "packaging" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def workflow(path):
    """A workflow; YAML 1.1 takes the word `on` for True."""
    read = yaml.safe_load(path.read_text())
    return {("on" if k is True else k): v for k, v in read.items()}


# -- workflows --------------------------------------------------------------------------------


def test_there_are_workflows():
    assert {p.stem for p in WORKFLOWS} == {"ci", "release"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_a_workflow_is_sound(path):
    read = workflow(path)
    assert set(read) <= {"name", "on", "permissions", "concurrency", "jobs", "env", "defaults"}
    assert read["permissions"] == {"contents": "read"}  # jobs ask for more, one by one
    for name, job in read["jobs"].items():
        needs = job.get("needs", [])
        for other in [needs] if isinstance(needs, str) else needs:
            assert other in read["jobs"], name
        if "uses" in job:
            assert (ROOT / job["uses"]).is_file()
            continue
        assert job["runs-on"]
        matrix = job.get("strategy", {}).get("matrix", {})
        for row in matrix.get("include", ()):
            assert set(row) <= set(matrix)
        for key in re.findall(r"\$\{\{ *matrix\.(\w+)", str(job)):
            assert key in matrix, (name, key)
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step), (name, step)
            assert set(step) <= {"name", "uses", "run", "with", "env", "if", "shell", "id"}
            if "uses" in step:
                assert re.fullmatch(r"[\w.-]+/[\w./-]+@(v\d+|release/v1)", step["uses"])
                if step["uses"].startswith("actions/checkout"):
                    assert step["with"]["persist-credentials"] is False
            for file in re.findall(r"\bpackaging/\S+\.py", step.get("run", "")):
                assert (ROOT / file).is_file()
            # What a stranger wrote (a title, a branch's name) is never pasted into a command.
            assert not re.search(r"\$\{\{ *github\.(event|head_ref)", step.get("run", ""))
    assert "secrets." not in path.read_text()


def test_ci_covers_what_is_promised():
    jobs = workflow(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    matrix = jobs["tests"]["strategy"]["matrix"]
    assert {s.split("-")[0] for s in matrix["os"]} == {"ubuntu", "macos", "windows"}
    told = {c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if "Python :: 3." in c}
    assert set(matrix["python"]) == told == {"3.11", "3.12", "3.13", "3.14"}
    assert PROJECT["requires-python"] == f">={min(told)}"
    assert "lowest" in {row["set"] for row in matrix["include"]}
    assert any(s.get("run", "").startswith("make test") for s in jobs["make-test"]["steps"])


def test_releases_are_published_without_a_password():
    jobs = workflow(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert not any("password" in str(step) for step in jobs["publish"]["steps"])
    order = [jobs[n]["needs"] for n in ("build", "publish", "notes")]
    assert order == ["ci", "build", "publish"]


# -- notes, wheels ----------------------------------------------------------------------------


def test_notes_are_the_section_of_the_version():
    text = "# Log\n\n## [Unreleased]\n\nlater\n\n## [1.2.0] - 2026-01-01\n\n- new\n\n## 1.1.0\n\n- old\n"
    notes = script("notes").notes
    assert notes("v1.2.0", text) == "- new\n"
    assert notes("1.1.0", text) == "- old\n"
    for tag in ("v1.2", "v9.9.9"):
        with pytest.raises(SystemExit, match="no section"):
            notes(tag, text)


def test_a_wheel_that_lacks_something_is_refused(tmp_path):
    check = script("check_wheel")
    package = tmp_path / "src" / "mriprep"
    package.mkdir(parents=True)
    for name in ("a.py", "b.yaml"):
        (package / name).write_text("")
    wheel = tmp_path / "mriprep-1.2.3-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mriprep/a.py", "")
    assert check.lacking(wheel, tmp_path / "src") == ["mriprep/b.yaml", check.PAGE]
    assert check.version(wheel) == "1.2.3"
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("mriprep/b.yaml", "")
        archive.writestr(check.PAGE, "")
    assert check.lacking(wheel, tmp_path / "src") == []


# -- said in several places -------------------------------------------------------------------


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    conda = yaml.safe_load((ROOT / "packaging" / "conda-forge" / "recipe.yaml").read_text())
    assert citation["version"] == conda["context"]["version"] == PROJECT["version"]
    assert citation["license"] == conda["about"]["license"] == PROJECT["license"]


def test_the_citation_is_whole():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "title", "message", "authors", "version"} <= set(citation)
    assert all("name" in a or "family-names" in a for a in citation["authors"])


def test_the_conda_recipe_asks_for_what_the_wheel_asks_for():
    names = {"isal": "python-isal", "matplotlib": "matplotlib-base", "torch": "pytorch"}
    wanted = {}
    for requirement in PROJECT["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(>=[\w.]+)", requirement).groups()
        wanted[names.get(name, name.lower())] = bound
    conda = yaml.safe_load((ROOT / "packaging" / "conda-forge" / "recipe.yaml").read_text())
    told = dict(line.split() for line in conda["requirements"]["run"])
    assert told.pop("python") == PROJECT["requires-python"]
    assert told == wanted


def test_the_container_runs_as_nobody_in_particular_and_without_gpu_libraries():
    docker = (ROOT / "Dockerfile").read_text()
    last = docker.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 1000:1000$", last, re.M)
    assert last.index("USER") < last.index("ENTRYPOINT")
    assert docker.index("TORCH_INDEX") < docker.index('".[cluster]"')
    assert "whl/cpu" in docker

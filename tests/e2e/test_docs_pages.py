"""The Python blocks of README and of pages that have no test of their own, run as a reader would."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import mriprep as mp
from mriprep import ratings
from mriprep.phantom import head, template
from mriprep.phantom.dicom import write_dicom

ROOT = Path(__file__).parents[2]


def code(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages read: a scan, a template, the outputs of a run."""
    folder = tmp_path_factory.mktemp("pages")
    scan = head("T1w", spacing=4.0, rotation=(3, 0, 5), labels=False, seed=2).image
    for name in ("scan.nii.gz", "sub-01_T1w.nii.gz", "bids/sub-01/anat/sub-01_T1w.nii.gz"):
        mp.write(scan, folder / name)
    (folder / "bids" / "dataset_description.json").write_text(
        '{"Name": "phantoms", "BIDSVersion": "1.9.0"}'
    )
    mp.write(template(spacing=4.0), folder / "head.nii.gz")
    case = mp.read_case(folder / "scan.nii.gz", name="sub-01")
    run = mp.recipe("adult-t1").set(
        register__template=str(folder / "head.nii.gz"), resample__spacing=4.0
    )(case)
    run.write(folder / "out")
    run.report(folder / "out" / "sub-01_T1w.html")
    return folder


@pytest.fixture
def there(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MRIPREP_OFFLINE", "1")
    return tmp_path


def run(page: str, **given: object) -> dict[str, object]:
    names: dict[str, object] = {"mp": mp, **given}
    for block in code(page):
        exec(compile(block, page, "exec"), names)
    return names


def test_brain(there: Path) -> None:
    names = run("docs/brain.md")
    assert names["brain"].data.any()
    assert 0 <= names["kept"]["brain"]["score"] <= 1
    assert 500 < names["kept"]["brain_volume_ml"] < 2500


def test_registration(there: Path) -> None:
    names = run("docs/registration.md")
    assert names["pose"].matrix.shape == (4, 4)
    assert names["aligned"].spacing == pytest.approx((1, 1, 1))


def test_tissues(there: Path) -> None:
    names = run("docs/tissues.md")
    assert set(np.unique(names["labels"].data)) == {0, 1, 2, 3}
    assert names["kept"]["gm_ml"] > 100


def test_quality(there: Path) -> None:
    assert run("docs/quality.md")["run"].quality["verdict"] in ("pass", "look", "fail")


def test_reports(there: Path) -> None:
    done = run("docs/reports.md")["done"]
    assert done.page == Path("out/index.html")
    assert sum(done.counts.values()) == 1


def test_way_back(there: Path) -> None:
    def network(image: np.ndarray) -> np.ndarray:
        return (image > 0).astype(np.uint8)

    native = run("docs/way-back.md", network=network)["native"]
    assert native.grid.matches(mp.read("scan.nii.gz").grid)
    assert np.array_equal(mp.read("native_dseg.nii.gz").data, native.data)


def test_templates(there: Path) -> None:
    pieces = code("docs/templates.md")
    assert len(pieces) == 1
    # Templates on a hub: its words are run with one that is at hand, its calls as they stand.
    text = pieces[0].replace('"NIHPD"', '"head.nii.gz"')
    scan = mp.read("scan.nii.gz")
    case = mp.Case("sub-01", {"T1w": scan}, facts={"PatientAge": 7.5})
    pipeline = mp.recipe("pediatric-t1").set(register__template="head.nii.gz", resample__spacing=4)

    class Offline:
        """`mp` with a template at hand in the recipe."""

        def __getattr__(self, name: str) -> object:
            return (lambda _: pipeline) if name == "recipe" else getattr(mp, name)

    names: dict[str, object] = {"mp": Offline(), "t1": scan, "brain": mp.skullstrip(scan)}
    names["case"] = case
    exec(text, names)
    assert names["run"].transform is not None


def test_viewer(there: Path) -> None:
    for rater in ("rater-1", "rater-2"):
        ratings.append(there / "out", ratings.Rating("sub-01", "T1w", "fail", "", rater))
    together = run("docs/viewer.md")["together"]
    assert together == {("sub-01", "T1w"): ratings.Consensus("fail", raters=2, agreed=True)}


def test_readme(there: Path) -> None:
    write_dicom(head("T1w", spacing=4.0, labels=False, seed=3), Path("dicom"))
    mp.freeze("out/", "model.recipe", files=["head.nii.gz"])
    names = run("README.md", scan="scan.nii.gz")
    assert names["run"].quality["verdict"] in ("pass", "look", "fail")
    assert Path("derivatives/index.html").is_file()
    assert names["network_input"].ndim == 3

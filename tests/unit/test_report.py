"""The report's page: what it says, that it needs nothing else, and that nothing escapes into it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest

from mriprep.core import Case, Grid, OutputError, Transform, Volume
from mriprep.qc import words
from mriprep.qc.report import render, write_report
from mriprep.recipe import load
from mriprep.record import StepRecord
from mriprep.run import execute

VOID = {"meta", "img", "input", "br", "hr", "link", "path"}
EVIL = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Tags with their attributes, text by tag, and whether tags are balanced."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts, self.scripts = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        into = self.scripts if self.open and self.open[-1] == "script" else self.texts
        if not self.open or self.open[-1] != "style":
            into.append(data)

    def all(self, tag):
        return [a for t, a in self.tags if t == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def head(shift=0.0, shape=(40, 48, 36)):
    """A bright ellipsoid in noise."""
    grid = np.indices(shape, dtype=np.float32)
    center = np.array(shape).reshape(3, 1, 1, 1) / 2
    inside = (((grid - center) / (center * 0.7)) ** 2).sum(0) < 1
    noise = np.random.default_rng(0).normal(0, 4, shape)
    data = np.where(inside, 100 + 2 * grid[0], 10) + noise + shift
    affine = np.diag([1.0, 1.0, 1.5, 1.0])
    return Volume(data.astype(np.float32), affine), Volume(inside, affine, "mask")


STEPS = [
    {"denoise": {}},
    {"background": {}},
    {"resample": {"spacing": 2.0}},
    {"zscore": {}},
    {"apply_mask": {}},
    {"slices": {}},
]
FACTS = {
    "MagneticFieldStrength": 3.0,
    "RepetitionTime": 2.3,
    "EchoTime": 0.00298,
    "age": 7.5,
    "sex": "F",
    "PatientName": "Doe^Jane",
}


def run(steps=STEPS, facts=FACTS, contrast="T1w"):
    image, mask = head()
    case = Case("sub-01", {contrast: image}, facts)
    return execute(load({"name": "demo", "steps": steps}), case, mask=mask)


@pytest.fixture(scope="module")
def outcome():
    return run()


@pytest.fixture(scope="module")
def page(outcome, tmp_path_factory):
    files = [tmp_path_factory.mktemp("out") / "sub-01_T1w.nii.gz"]
    return Page(render(outcome, version="9.9", outputs=files))


def test_it_says_what_was_done(outcome, page):
    assert outcome.failure is None
    text = page.text
    assert "sub-01 T1w" in text
    assert "Finished: 6 steps in" in text
    assert "no warnings" in text
    for fact in ("3 T", "2300 ms", "2.98 ms", "7.5 years", "female"):
        assert fact in text
    assert "40 × 48 × 36 voxels of 1 × 1 × 1.5 mm, RAS" in text
    assert "20 × 24 × 27 voxels of 2 mm, RAS" in text
    for s in outcome.steps:
        assert s.title in text
        assert s.methods in text
    assert "sub-01_T1w.nii.gz" in text
    assert "mriprep 9.9" in text
    assert "threshold" in text
    assert "median filter of 3 x 3 x 3 voxels [1]." in text


def test_the_structure_is_accessible(page):
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for label in page.all("label"):
        assert label["for"] in ids
    for link in page.all("a"):
        assert not link["href"].startswith("#") or link["href"][1:] in ids
    for _, attributes in page.tags:
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids
    assert len([1 for t, _ in page.tags if t == "h1"]) == 1
    assert page.all("html") == [{"lang": "en"}]
    images = page.all("img")
    # Overview; denoise, background, resample, zscore, apply_mask before and after; slices.
    assert len(images) >= 6 * 6
    assert all(i["alt"].strip() and int(i["width"]) and int(i["height"]) for i in images)
    lines = [i for i in page.all("input") if i["type"] == "range"]
    # The whole run, denoise, background, zscore, apply_mask; resample changes the grid.
    assert len(lines) == 5
    assert all(i["aria-label"].startswith("Line between") for i in lines)


def test_it_loads_nothing(outcome, page):
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            if name in ("src", "srcset", "data", "poster", "action", "xlink:href"):
                assert value.startswith("data:image/"), (tag, name)
            if name == "href":
                saved = tag == "a" and "download" in attributes
                wanted = "data:application/x-bibtex" if saved else ("#", "https://doi.org/10.")
                assert value.startswith(wanted), value
            assert not name.startswith("on"), (tag, name)
    assert not page.all("link")
    html = render(outcome, version="9.9")
    assert "@import" not in html
    assert "url(" not in html
    assert len(html) < 3_000_000


def test_only_its_own_script_may_run(page):
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_everything_is_escaped(outcome):
    steps = [
        dataclasses.replace(s, warnings=(EVIL,), facts={EVIL: EVIL}, methods=EVIL, title=EVIL)
        for s in outcome.steps
    ]
    # A contrast's name is letters and digits: a case of another is none.
    case = Case("sub-01", dict(outcome.case), {"Manufacturer": f'"><img src=x> {EVIL}'})
    bad = dataclasses.replace(outcome, steps=steps, case=case, warnings=[EVIL, "</style><b>"])
    html = render(bad, version=EVIL, title=f"{EVIL} & co", outputs=[EVIL.replace("/", "")])
    page = Page(html)
    assert len(page.all("script")) == 1
    assert "alert" not in "".join(page.scripts)
    assert all(i["src"].startswith("data:image/") for i in page.all("img"))
    assert f"{EVIL} & co" in page.text
    assert "2 warnings" in page.text


def test_the_header_shows_nobody_and_no_folders(tmp_path):
    image, mask = head()
    source = tmp_path / "Jane Doe" / "scan.nii"
    source.parent.mkdir()
    source.write_bytes(b"x")
    case = Case("sub-01", {"T1w": image.replace(source=str(source))}, {"PatientName": "Doe^Jane"})
    outcome = execute(load({"steps": STEPS[:2]}), case, mask=mask)
    outcome.warnings.append(f"{source} is odd")
    html = render(outcome, version="1", outputs=[source.parent / "out.nii.gz"])
    assert "Doe" not in html
    assert str(tmp_path) not in html
    assert "scan.nii is odd" in html
    assert "out.nii.gz" in html


def test_a_run_that_stopped_says_where_why_and_what_to_do():
    constant = Volume(np.full((8, 8, 8), 3, np.float32), np.eye(4))
    recipe = load({"steps": ["denoise", "zscore", "bins"]})
    stopped = execute(recipe, Case("sub-02", {"T1w": constant}))
    assert stopped.failure is not None
    page = Page(render(stopped, version="1"))
    assert f"Stopped at zscore: {stopped.failure.message}" in page.text
    assert page.text.count(f"What to do: {stopped.failure.hint}") == 2
    assert "Not done: bins." in page.text
    assert "How far it came" in page.text
    assert "Finished" not in page.text
    first = execute(load({"steps": ["zscore"]}), Case("sub-03", {"T1w": constant}))
    page = Page(render(first, version="1"))
    assert first.steps == []
    assert len(page.all("img")) >= 3  # the scan at least


def test_the_record_is_there_as_json(outcome):
    html = render(outcome, version="1")
    text = re.findall(r"<pre[^>]*>(.*?)</pre>", html, re.DOTALL)[-1]
    parsed = json.loads(unescape(text))
    assert [s["step"] for s in parsed["steps"]] == [s.name for s in outcome.steps]


def test_references_are_numbered_where_they_are_cited(outcome, page):
    links = [a["href"] for a in page.all("a") if a["href"].startswith("https")]
    dois = list(dict.fromkeys(c.doi for s in outcome.steps for c in s.citations))
    assert links == [f"https://doi.org/{d}" for d in dois]
    cited = {
        int(n) for marks in re.findall(r"\[([\d, ]+)\]\.", page.text) for n in marks.split(",")
    }
    assert cited >= set(range(1, len(dois) + 1))


def test_a_transform_is_told_in_words(outcome):
    turn = np.deg2rad(10)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    grid = Grid((11, 11, 11), np.diag([2.0, 2.0, 2.0, 1.0]))
    matrix[:3, 3] = np.array([13.0, 6.0, 10.0]) - matrix[:3, :3] @ grid.center
    transform = Transform(matrix, grid, None, "MNI", "T1w")
    rows = dict(words.movement(transform))
    assert rows["rotation"] == "10.0°"
    assert rows["translation"].startswith("5.0 mm at the template's middle (3.0 right, 4.0 back")
    assert rows["scale"] == "none (rigid)"
    stretched = Transform(np.diag([1.1, 1.0, 0.9, 1.0]))
    assert dict(words.movement(stretched))["scale"].startswith("0.900, 1.000, 1.100")
    image = outcome.image
    record = StepRecord(
        "register", "Find it.", {}, "elastix", None, "transform", image.grid, image.grid, 1.0
    )
    done = dataclasses.replace(
        outcome, steps=[record], state={**outcome.state, "transform": transform}
    )
    text = Page(render(done, version="1")).text
    assert "10.0°" in text
    assert "points of MNI to points of the scan" in text


def test_windows_are_shared_where_intensities_keep_their_meaning(outcome):
    from mriprep.qc.comparison import compare

    said = {s.name: compare(s, "x", s.name == "resample") for s in outcome.steps[:-1]}
    assert said["denoise"].windows.startswith("both from")
    assert said["resample"].windows.startswith("both from")
    assert "before from" in said["zscore"].windows
    assert len(said["denoise"].plots) == 1
    assert len(said["zscore"].plots) == 2
    assert said["denoise"].has_mask


def test_a_step_that_changes_no_intensity_has_one_set_of_pictures():
    outcome = run([{"background": {"output": "mask"}}])
    html = render(outcome, version="1")
    (step,) = re.findall(r'<section id="step-background".*?</section>', html, re.DOTALL)
    assert step.count("<img") == 3
    page = Page(html)
    classes = [p["class"] for p in page.all("path")]
    assert classes.count("mask") >= 3


def test_the_same_run_gives_the_same_page(outcome):
    pages = {re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+", "", render(outcome, version="1")) for _ in "ab"}
    assert len(pages) == 1


def test_it_is_written_whole_or_not_at_all(outcome, tmp_path):
    path = write_report(outcome, tmp_path / "deep" / "case.html", version="1")
    assert path.read_text("utf-8").startswith("<!doctype html>")
    assert path.read_text("utf-8").rstrip().endswith("</html>")
    assert [p.name for p in path.parent.iterdir()] == ["case.html"]
    (tmp_path / "taken").mkdir()
    with pytest.raises(OutputError):
        write_report(outcome, tmp_path / "taken", version="1")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "taken"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.001, "under 0.01 s"),
        (0.034, "0.03 s"),
        (2.71, "2.7 s"),
        (9.97, "10 s"),
        (59.7, "1 min 0 s"),
        (3725, "1 h 2 min"),
    ],
)
def test_durations(seconds, said):
    assert words.duration(seconds) == said


def test_facts_have_their_units():
    rows = dict(words.facts({"InversionTime": 0.9, "FlipAngle": 9, "sex": "m", "Other": 1}))
    assert rows == {"TI": "900 ms", "flip angle": "9°", "sex": "male"}
    rows = words.products({"brain_volume_ml": 1545.7, "a": {"shift_mm": 2.0}, "ok": True})
    assert rows == [("brain volume", "1546 ml"), ("shift", "2 mm"), ("ok", "yes")]

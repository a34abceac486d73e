"""A case's page with a quality: verdict, links to pictures, metrics, tissues, and marked parts."""

from __future__ import annotations

import base64
import io
import re
from html import unescape

import numpy as np
import pytest
from PIL import Image
from test_report import EVIL, STEPS, Page, head, run
from test_report_figures import stored

from mriprep import declare
from mriprep.core import Case, InputError, Transform, Volume
from mriprep.qc import blocks, spec
from mriprep.qc.report import bibtex, render
from mriprep.qc.standing import standing
from mriprep.qc.views import MAKERS, Frame, Look, Sheet
from mriprep.recipe import load
from mriprep.run import execute


class Metric:
    def __init__(self, name, title, better="lower", unit="", group="mriqc"):
        self.name, self.title, self.better, self.unit, self.group = name, title, better, unit, group
        self.meaning = f"What {title} means."


KNOWN = {"cjv": Metric("cjv", "Coefficient of joint variation"), "own": Metric("own", "Our own", "higher", "mm", "mriprep")}  # fmt: skip


def quality(n=0, **changes):
    counts = [round(1000 * np.exp(-(((x - 30) / 9) ** 2))) for x in range(64)]
    return {
        "schema": 1,
        "case": f"sub-{n:02d}",
        "contrast": "T1w",
        "verdict": "pass",
        "reasons": [],
        "scores": {"registration": 0.99},
        "metrics": {"cjv": 0.4 + 0.01 * n, "own": 2.0, "unheard": 1.5, "none": None},
        "missing": {"fwhm_x": "one slice along x"},
        "facts": {},
        "warnings": [],
        "histograms": {"before": {"low": 0, "high": 900, "counts": counts},
                       "after": {"low": -3, "high": 3, "counts": counts}},
        "report": f"sub-{n:02d}_T1w.html",
        **changes,
    }  # fmt: skip


def reason(says, level="look", picture="brain", **more):
    return {"code": says, "level": level, "says": says, "picture": picture, **more}


@pytest.fixture(scope="module")
def outcome():
    done = run()
    mask = np.asarray(done.state["mask"].data) > 0
    labels = mask * (1 + (np.indices(mask.shape).sum(0) // 4) % 3)
    done.state["tissues"] = Volume(labels.astype(np.uint8), done.image.affine, "labels")
    return done


def test_the_verdict_says_why_and_links_to_what_shows_it(outcome):
    reasons = [
        reason("Noise is high.", picture="background"),
        reason("The mask leaks.", "fail", hint="try another engine"),
        reason("Odd somewhere.", picture="nowhere"),
        reason("Smoothed too much.", picture="denoise"),
        reason("Grain.", picture="zscore"),
    ]
    html = render(outcome, version="1", quality=quality(verdict="fail", reasons=reasons))
    page = Page(html)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    (part,) = re.findall(r"<!--mriprep:verdict-->(.*?)<!--/mriprep:verdict-->", html, re.DOTALL)
    links = re.findall(r'href="([^"]+)"', part)
    assert links == ["#brain", "#background", "#denoise", "#zscore"]  # the worst first
    assert {link[1:] for link in links} <= set(ids)
    assert 'class="verdict fail"' in part
    assert "Fail: not fit for use" in part
    assert "try another engine" in part
    assert "Finished: 6 steps in" in page.text
    assert html.index("mriprep:verdict") < html.index("<main>")
    # Every section that the page names is there, each with a picture or what it is about.
    assert {"mosaic", "brain", "tissues", "background", "histograms", "metrics"} <= set(ids)


def test_without_a_quality_or_tissues_the_page_leaves_out_what_needs_them(outcome):
    page = Page(render(run(), version="1"))
    ids = {a["id"] for _, a in page.tags if "id" in a}
    assert not {"tissues", "metrics", "histograms", "template"} & ids
    assert {"mosaic", "brain", "background", "result"} <= ids
    named = [a["href"][1:] for a in page.all("a") if a["href"].startswith("#")]
    assert set(named) <= ids


def test_metrics_have_meanings_units_and_a_place_in_the_cohort(outcome):
    others = [quality(n) for n in range(11)]
    mine = quality(9, reasons=[reason("Too high.", metric="cjv")])
    html = render(
        outcome, version="1", quality=mine, standing=standing(others)["T1w"], metrics=KNOWN
    )
    text = Page(html).text
    assert "Coefficient of joint variation" in text
    assert "What Our own means. Higher is better." in text
    assert "2 mm" in text
    assert "unheard" in text
    assert "86 % are lower" in text  # nine of eleven, and half of itself
    assert "one slice along x" in text
    assert "not measured" in text  # "none" has no value and no reason
    assert "Against the 11 T1w images" in text
    (row,) = re.findall(r'<tr class="look">.*?</tr>', html, re.DOTALL)
    assert "cjv" in row
    (histograms,) = re.findall(r'<section id="histograms".*?</section>', html, re.DOTALL)
    assert histograms.count('class="is"') == 2
    assert histograms.count('class="band"') == 1
    alone = Page(render(outcome, version="1", quality=mine, metrics=KNOWN)).text
    assert "are lower" not in alone
    assert "mriprep report OUT" in alone


def test_a_quality_cannot_bring_in_markup(outcome):
    bad = quality(
        case=EVIL, contrast=EVIL, metrics={EVIL: 1.0}, missing={EVIL: EVIL}, scores={EVIL: 1.0},
        reasons=[reason(EVIL, hint=EVIL, picture=f'x"{EVIL}', metric=EVIL),
                 reason("<!--/mriprep:verdict-->")],
    )  # fmt: skip
    known = {EVIL: Metric(EVIL, EVIL, "lower", EVIL)}
    html = render(outcome, version="1", quality=bad, metrics=known, standing=standing([bad])[EVIL])
    page = Page(html)
    assert len(page.scripts) == len(page.all("script")) == 1
    assert "alert" not in "".join(page.scripts)
    assert html.count("<!--/mriprep:verdict-->") == 1
    assert EVIL in unescape(page.text)


def test_parts_are_filled_anew_and_nothing_else_changes(outcome):
    html = render(outcome, version="1", quality=quality())
    new = blocks.refilled(html, {"verdict": "<p>A</p>", "metrics": ""})
    assert "<!--mriprep:verdict--><p>A</p><!--/mriprep:verdict-->" in new
    assert "<!--mriprep:metrics--><!--/mriprep:metrics-->" in new

    def strip(text):
        for name in ("verdict", "metrics"):
            text = re.sub(rf"<!--mriprep:{name}-->.*?<!--/mriprep:{name}-->", "", text, flags=re.S)
        return text

    assert strip(new) == strip(html)
    assert blocks.refilled(new, {"verdict": "<p>A</p>", "metrics": ""}) == new
    with pytest.raises(InputError, match="has no place for 'verdict'"):
        blocks.refilled("<html></html>", {"verdict": ""})


def test_what_the_page_shows_is_a_table_without_mistakes():
    parts = spec.parts()
    assert len({p.id for p in parts}) == len(parts)
    own = {"histograms", "metrics", "steps", "methods", "record"}
    assert {p.shows for p in parts} <= set(MAKERS) | own
    look = Look(run())
    assert all(isinstance(look.has(n), bool) for p in parts for n in p.needs)


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "LAS"])
def test_outlines_lie_on_the_scan_whatever_was_done_to_it(orientation):
    image, mask = head()
    affine = Transform.rigid((8, -5, 10), (9, -7, 5)).matrix @ image.affine  # oblique
    scan = stored(np.asarray(image.data), affine, orientation)
    truth_mask = stored(np.asarray(mask.data).astype(np.uint8), affine, orientation)
    truth_mask = truth_mask.replace(role="mask")
    recipe = load({"steps": [{"resample": {"spacing": 1.0}}, "zscore"]})
    done = execute(recipe, Case("sub-01", {"T1w": scan}), mask=truth_mask)
    look = Look(done)
    sheet = MAKERS["brain"](look)
    assert isinstance(sheet, Sheet)
    assert [len(row) for row in sheet.tiles] == [8, 8, 8]
    # Inside the outline the scan is brain: its edge and the mask's are those of one body.
    frame = Frame.around(*look.box, margin=16)
    agree = []
    for plane in ("axial", "coronal", "sagittal"):
        for at in frame.positions(plane, 5, 24):
            drawn = frame.cut(look.mask, plane, at, None, order=0) > 0
            truth = frame.cut(truth_mask, plane, at, look.to_native, order=0) > 0
            agree.append(2 * (drawn & truth).sum() / max(1, drawn.sum() + truth.sum()))
    assert min(agree) > 0.93


def test_tissues_of_the_scans_world_are_drawn_where_the_scan_was_pulled():
    image, mask = head()
    recipe = load({"steps": [{"resample": {"spacing": 1.5}}]})
    done = execute(recipe, Case("sub-01", {"T1w": image}), mask=mask)
    shift = np.eye(4)
    shift[:3, 3] = 7, -4, 3
    moved = done.steps[0]
    pulled = Transform(shift, moved.after, moved.before, "template", "T1w")
    done.steps[0] = type(moved)(**{**vars(moved), "pulled": pulled})
    tissues = Volume(np.asarray(mask.data).astype(np.uint8), mask.affine, "labels")
    done.state["tissues"] = tissues
    look = Look(done)
    assert np.allclose(
        look.into(tissues, "tissues").matrix, shift
    )  # made before, not brought along
    brought = done.image.replace(np.ones(done.image.shape, np.uint8), role="labels")
    assert look.into(brought, "tissues") is None
    sheet = MAKERS["tissues"](look)
    assert any(kind == "csf" for row in sheet.tiles for t in row for kind, _ in t.lines)


def test_noise_in_the_air_is_seen_and_blanked_air_is_told():
    rng = np.random.default_rng(0)
    image, mask = head()
    noisy = np.abs(
        np.asarray(image.data) * np.asarray(mask.data) * 10 + rng.normal(0, 4, image.shape)
    )
    look = Look(execute(load({"steps": ["denoise"]}), Case("a", {"T1w": image.replace(noisy)})))
    sheet = MAKERS["background"](look)
    tile = sheet.tiles[0][4]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(tile.src.partition(",")[2]))))
    corner = pixels[:12, :12, 0].astype(float)
    assert 15 < corner.mean() < 200
    assert corner.std() > 10
    blank = np.where(np.asarray(mask.data) > 0, noisy, 0)
    look = Look(execute(load({"steps": ["denoise"]}), Case("a", {"T1w": image.replace(blank)})))
    assert "exactly zero" in MAKERS["background"](look).said


def test_references_as_bibtex():
    text = bibtex(declare.get("n4").citations)
    assert text.startswith("@article{tustison2010,\n  author = {Tustison, NJ and others},")
    assert "title = {{N4ITK: improved N3 bias correction}}" in text
    assert "journal = {IEEE Trans Med Imaging}" in text
    assert "year = {2010}" in text
    assert "doi = {10.1109/TMI.2010.2046908}" in text


def test_the_page_stays_small(outcome):
    html = render(outcome, version="1", quality=quality(), metrics=KNOWN)
    assert len(html.encode()) < 1_500_000
    assert len(STEPS) == len(outcome.steps)

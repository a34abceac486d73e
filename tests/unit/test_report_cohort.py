"""The cohort's page and tables: what is on them, what is told, and that nothing escapes."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from test_report import EVIL, STEPS, Page, head, run
from test_report_quality import KNOWN, quality, reason

import mriprep as mp
from mriprep.cli import main
from mriprep.cohorts.ledger import Ledger
from mriprep.core import Case, InputError, OutputError
from mriprep.qc import cohort as cohorts
from mriprep.qc.cohort import write_overview
from mriprep.qc.collect import checked, page_of, read_ratings
from mriprep.qc.report import write_report
from mriprep.qc.session_report import write_session_report
from mriprep.recipe import load
from mriprep.run import execute
from mriprep.session import SessionOutcome


def put(out, q, name=None):
    stem = name or f"{q['case']}_{q['contrast']}_quality"
    path = out / (name or q["case"]) / "anat" / f"{stem}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(q))
    return path


def varied(n, rng):
    q = quality(n, facts={"site": "AB"[n % 2], "Manufacturer": "GE", "MagneticFieldStrength": 3})
    q["metrics"] |= {"cjv": 0.4 + 0.02 * rng.normal(), "own": 2 + 0.1 * rng.normal()}
    return q


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Thirty images, one of them odd, one failed; two have pages; one file is broken."""
    out = tmp_path_factory.mktemp("out")
    rng = np.random.default_rng(0)
    outcome = run()
    for n in range(30):
        q = varied(n, rng)
        if n == 4:
            q["metrics"]["cjv"] = 3.0
        if n == 7:
            q |= {"verdict": "fail", "metrics": {}, "histograms": {}}
            q["reasons"] = [reason("It is constant.", "fail", code="failed", hint="look at it", step="zscore")]  # fmt: skip
        put(out, q)
        if n in (4, 5):
            write_report(outcome, out / q["report"], version="1", quality=q)
    put(out, quality(3, contrast="FLAIR"))
    (out / "sub-01" / "anat" / "sub-01_FLAIR_quality.json").write_text("{nonsense")
    put(out, {**quality(2, contrast="T2w"), "schema": 7})
    (out / "ratings.tsv").write_text(
        "case\tcontrast\trating\tnote\trater\ttime\n"
        "sub-05\tT1w\tunsure\t\ta\t1\nsub-05\tT1w\tpass\t\ta\t2\nsub-05\tT1w\tfail\t\tb\t3\n"
        "sub-06\tT1w\tgreat\t\ta\t4\n"
    )
    for run_name, status in (("r1", "failed"), ("r2", "done")):
        ledger = Ledger(out / "runs" / run_name, {})
        for case in ("sub-30", "sub-31") if status == "failed" else ("sub-31",):
            about = {"step": "read", "reason": "no such scan", "hint": "give one", "scores": {}, "warnings": []}  # fmt: skip
            ledger.event("case", case=case, status=status, **about)
    (out / "runs" / "done").mkdir()
    for case in ("sub-05", "sub-40"):
        (out / "runs" / "done" / f"{case}.json").write_text(json.dumps({"case": case}))
    return out


@pytest.fixture(scope="module")
def done(out):
    return mp.report(out)


@pytest.fixture(scope="module")
def page(done):
    return Page(done.page.read_text("utf-8"))


def test_it_counts_and_says_what_could_not_be_used(done, page):
    assert done.counts == {"pass": 29, "look": 1, "fail": 1}
    assert done.failures == 2
    assert done.flagged == (("sub-07", "T1w", "fail"), ("sub-04", "T1w", "look"))
    told = dict(done.problems)
    assert "it is no JSON" in told["sub-01/anat/sub-01_FLAIR_quality.json"]
    assert "schema is 7" in told["sub-02/anat/sub-02_T2w_quality.json"]
    assert "'great' is not one of pass, fail, unsure" in told["ratings.tsv"]
    for name, why in done.problems:
        assert name in page.text
        assert why in page.text
    assert done.unmeasured == ("sub-40",)
    assert "1 case is done and was not measured" in page.text
    assert "nothing is told of it: sub-40" in page.text
    assert "Quality of 31 images" in page.text
    assert "FLAIR: with fewer than 6 measured images" in page.text


def test_failures_are_told_with_their_hints_until_they_are_done(page):
    assert "no such scan" in page.text
    assert "What to do: give one" in page.text
    assert "sub-30" in page.text
    assert "sub-31" not in page.text
    assert "It is constant." in page.text
    assert "What to do: look at it" in page.text


def test_the_table_is_for_programs(out, done):
    with (out / "qc.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 31
    head = list(rows[0])
    assert head[:6] == ["case", "contrast", "verdict", "reasons", "rating", "score_registration"]
    by_key = {(r["case"], r["contrast"]): r for r in rows}
    odd = by_key["sub-04", "T1w"]
    assert odd["verdict"] == "look"
    assert "cohort-cjv" in odd["reasons"].split(",")
    assert float(odd["cjv"]) == 3.0
    assert odd["none"] == "n/a"
    assert by_key["sub-05", "T1w"]["rating"] == "mixed"  # two raters, the last word of each
    assert by_key["sub-06", "T1w"]["rating"] == "n/a"
    assert set(json.loads((out / "qc_columns.json").read_text())) == set(head)
    whole = json.loads((out / "qc.json").read_text())
    assert whole["schema"] == 1
    assert len(whole["images"]) == 31
    assert all(checked(q) for q in whole["images"])


def test_the_page_of_an_image_learns_of_its_cohort(out, done):
    html = (out / "sub-04_T1w.html").read_text("utf-8")
    page = Page(html)
    assert "Look before you use this" in page.text
    assert "far above what is usual among the" in page.text
    assert "Against the 29 T1w images" in page.text
    assert "index.html" in [a["href"] for a in page.all("a")]
    ids = {a["id"] for _, a in page.tags if "id" in a}
    links = [a["href"][1:] for a in page.all("a") if a["href"].startswith("#")]
    assert set(links) <= ids
    assert "Look before" not in (out / "sub-05_T1w.html").read_text("utf-8")
    # The quality file itself is as it was: the comparison is made anew each time.
    file = out / "sub-04" / "anat" / "sub-04_T1w_quality.json"
    assert json.loads(file.read_text())["verdict"] == "pass"


def test_again_it_changes_nothing(out, done):
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    mp.report(out)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_the_cohort_page_loads_only_its_small_pictures(out, done, page):
    html = done.page.read_text("utf-8")
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            if name == "src":
                assert re.fullmatch(r"figures/sub-0[45]_T1w\.webp", value)
                assert (out / value).stat().st_size < 8000
                assert attributes["loading"] == "lazy"
            if name == "href" and not value.startswith("#"):
                assert (out / value).is_file(), value
            assert not name.startswith("on"), (tag, name)
    assert "http" not in html.replace("http-equiv", "")
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [m["content"] for m in page.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    # Worst first, and every mark is an image of the table.
    verdicts = re.findall(r'<td class="v (\w+)">', html)
    assert verdicts == ["fail", "look"] + 29 * ["pass"]
    marks = {int(i) for i in re.findall(r'data-i="(\d+)"', html)}
    assert marks <= set(range(31))
    assert len(marks) >= 30


def test_nothing_escapes_into_the_pages(tmp_path):
    out = tmp_path / "out"
    for n in range(8):
        name = f"<script>alert({n})</script>".replace("/", "∕")
        q = quality(n, case=EVIL + str(n), contrast=EVIL, report=f"../{EVIL}.html")
        q["facts"] = {
            "site": EVIL,
            "Manufacturer": f'"><img src=x>{EVIL}',
            "PatientName": "Doe^Jane",
        }
        q["metrics"] = {EVIL: 50.0 if n == 3 else 1 + 0.01 * n}
        q["reasons"] = [reason(EVIL, hint=EVIL, picture=EVIL)]
        put(out, q, name=f"sub-{name}_x_quality")
    ledger = Ledger(out / "runs" / "r", {})
    ledger.event("case", case=EVIL, status="failed", step=EVIL, reason=EVIL, hint=EVIL)
    done = mp.report(out)
    html = done.page.read_text("utf-8")
    page = Page(html)
    assert len(page.scripts) == len(page.all("script")) == 1
    assert "alert" not in page.scripts[0]
    assert not page.all("img")
    assert "Doe" not in html + (out / "qc.json").read_text() + (out / "qc.tsv").read_text()
    assert done.counts["look"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert page_of({"case": "a", "contrast": "T1w", "report": "../x.html"}) == "a_T1w.html"
    assert page_of({"case": "a/b", "contrast": "c", "report": "javascript:x.html"}) == "a_b_c.html"


def test_what_cannot_be_is_said(tmp_path, capsys):
    with pytest.raises(InputError, match="there is no folder"):
        mp.report(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file' is a file, not a folder"):
        mp.report(tmp_path / "file")
    (tmp_path / "file").unlink()
    with pytest.raises(InputError, match="there is no quality file"):
        mp.report(tmp_path)
    assert list(tmp_path.iterdir()) == []
    put(tmp_path, quality()).write_text("[]")
    with pytest.raises(InputError, match="none of the 1 quality files"):
        mp.report(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["report", str(tmp_path)])
    assert stopped.value.code == 2
    assert "can be used" in capsys.readouterr().err
    put(tmp_path, quality(1))
    with pytest.raises(SystemExit) as partly:
        main(["report", str(tmp_path)])
    assert partly.value.code == 3
    said = capsys.readouterr()
    assert "not used: sub-00/anat/sub-00_T1w_quality.json" in said.err
    assert f"open in a browser: {tmp_path / 'index.html'}" in said.out
    assert said.out.startswith("1 image: 1 pass\n")


def test_a_page_of_another_version_is_left_and_told(tmp_path):
    put(tmp_path, quality(0))
    (tmp_path / "sub-00_T1w.html").write_text("<html>old</html>")
    done = mp.report(tmp_path)
    assert [name for name, _ in done.problems] == ["sub-00_T1w.html"]
    assert (tmp_path / "sub-00_T1w.html").read_text() == "<html>old</html>"


def test_pages_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    q = quality(0)
    put(tmp_path, q)
    page = tmp_path / q["report"]
    write_report(run(), page, version="1")
    before = page.read_bytes()

    def full(text: str, path: Path) -> Path:
        raise OutputError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(cohorts, "write_text", full)
    with pytest.raises(OutputError):
        write_overview(tmp_path, version="1", metrics=KNOWN)
    assert page.read_bytes() == before
    assert not (tmp_path / "index.html").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"case": ""}, "does not say its case"),
        ({"verdict": "good"}, "verdict is 'good'"),
        ({"metrics": [1]}, "its metrics are no names"),
        ({"reasons": [{"code": "x"}]}, "no code, level or sentence"),
        ({"reasons": [reason("x", "bad")]}, "level of a reason is 'bad'"),
    ],
)
def test_a_quality_that_is_none_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        checked({**quality(), **change})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff", "no text in UTF-8"),
        (b" " * 4_000_001, "more than 4000000 bytes"),
        (None, "cannot be read: Is a directory"),
    ],
)
def test_a_quality_file_that_cannot_be_read_is_told(tmp_path, content, said):
    put(tmp_path, quality(0))
    path = put(tmp_path, quality(1))
    path.unlink()
    path.mkdir() if content is None else path.write_bytes(content)
    ((name, why),) = mp.report(tmp_path).problems
    assert name == "sub-01/anat/sub-01_T1w_quality.json"
    assert said in why


def test_ratings_that_were_written_by_hand(tmp_path):
    (tmp_path / "ratings.tsv").write_text(
        "case\tcontrast\trating\nsub-01\tT1w\tfail\nsub-01\tT1w\tpass\nsub-02\tT1w\n"
    )
    ratings, problems = read_ratings(tmp_path)
    assert ratings == {("sub-01", "T1w"): "pass"}
    assert problems == [("ratings.tsv", "line 4: it has 2 of 3 cells")]


def test_ratings_without_their_columns_are_told(tmp_path):
    assert read_ratings(tmp_path) == ({}, [])
    (tmp_path / "ratings.tsv").write_text("case\trating\n")
    assert read_ratings(tmp_path)[1] == [("ratings.tsv", "it has no column contrast")]


def test_a_thousand_images_make_a_small_page(tmp_path):
    rng = np.random.default_rng(1)
    for n in range(1000):
        q = varied(n, rng)
        q["metrics"] |= {f"m{c}": float(v) for c, v in enumerate(rng.normal(size=12))}
        put(tmp_path, q)
    done = write_overview(tmp_path, version="1", metrics=KNOWN)
    assert done.page.stat().st_size < 5_000_000
    assert sum(done.counts.values()) == 1000
    assert done.counts["look"] <= 50


def session(contrasts=("T1w", "FLAIR")):
    image, mask = head()
    case = Case("sub-01", dict.fromkeys(contrasts, image), {})
    recipe = load({"name": "demo", "steps": STEPS})
    outcomes = {c: execute(recipe, case, contrast=c, mask=mask) for c in contrasts}
    return SessionOutcome(case, recipe, contrasts[0], outcomes)


def test_a_sessions_page_has_the_verdict_of_each_contrast_and_learns_of_the_cohort(tmp_path):
    odd = reason("Too grainy.", picture="background", metric="cjv")
    qualities = {
        "T1w": quality(1, report="sub-01_T1w.html"),
        "FLAIR": quality(1, contrast="FLAIR", verdict="look", reasons=[odd], report="sub-01_FLAIR.html"),
    }  # fmt: skip
    path = write_session_report(session(), tmp_path, version="1", qualities=qualities)
    html = path.read_text("utf-8")
    page = Page(html)
    assert "Look before you use this" in page.text.split("T1w")[0]  # the worst of both, on top
    assert page.text.count("Pass: nothing stands out") == 1
    assert "sub-01_FLAIR.html#background" in [a["href"] for a in page.all("a")]
    assert "Finished: 2 contrasts in" in page.text
    for q in qualities.values():
        put(tmp_path, q)
    for n in range(2, 32):
        put(tmp_path, quality(n, metrics={"cjv": 0.4 + 0.001 * n}))
    put(tmp_path, {**qualities["T1w"], "metrics": {"cjv": 9.0}})
    mp.report(tmp_path)
    page = Page(path.read_text("utf-8"))
    assert "far above what is usual" in page.text
    assert "Pass: nothing stands out" not in page.text
    links = [a["href"] for a in page.all("a")]
    assert "sub-01_T1w.html#metrics" in links
    assert "index.html" in links


def test_a_session_without_qualities_is_as_it_was(tmp_path):
    html = write_session_report(session(), tmp_path, version="1").read_text("utf-8")
    page = Page(html)
    assert "Finished: 2 contrasts in" in page.text
    assert "Pass" not in page.text
    assert (tmp_path / "sub-01_FLAIR.html").is_file()

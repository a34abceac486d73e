"""The viewer in a real browser: what is drawn, what keys do, what is on disk afterwards."""

from __future__ import annotations

import base64
import io
import os
import shutil
import time

import numpy as np
import pytest
from PIL import Image

import mriprep as mp
from mriprep import ratings
from mriprep.qc.metrics import METRICS
from mriprep.viewer.app import STATIC
from viewer_scene import outputs, serving

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(
        not (STATIC / "index.html").is_file(),
        reason="the viewer's page is not built: make web (needs Node.js)",
    ),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]
#: A graphics processor in software.
DRAWING = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
#: A report that tries to reach what its reader may.
SPY = """<!doctype html><title>trying</title><script>
fetch("/api/images").then(() => "reached", () => "refused").then((became) => {
  let cookie = "refused"; try { document.cookie; cookie = "reached"; } catch { }
  document.title = became + " " + cookie; });
</script><a href="sub-02_T1w.html">another</a>"""


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    # Root has no sandbox in a container; everybody else keeps it.
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*DRAWING, *root])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = outputs(tmp_path_factory.mktemp("cohort"))
    (folder / "sub-01_T1w.html").write_text(SPY)
    page = mp.report(folder).page
    (folder / "figures").mkdir()
    Image.new("RGB", (5, 4)).save(folder / "figures" / "sub-01_T1w.webp")
    page.write_text(page.read_text() + '<img src="figures/sub-01_T1w.webp">')
    return folder


@pytest.fixture(scope="module")
def server(cohort):
    with serving(cohort) as server:
        yield server


@pytest.fixture
def visit(browser, server):
    """Open the page in a browser of its own; nothing may go wrong in it."""
    wrong, contexts = [], []

    def visit(rater="ann", width=1000, height=700, draws=True, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: wrong.append(str(e)))
        page.on("request", lambda r: wrong.append(r.url) if elsewhere(r.url) else None)
        page.goto(f"{server.origin}/#token={server.keys.token}")
        page.wait_for_selector("#ask-rater[open]")
        page.fill("#rater-name", rater)
        page.keyboard.press("Enter")
        if draws:
            drawn(page, "outline")
        else:
            page.wait_for_selector("#details h2")
        return page

    def elsewhere(url):
        return not url.startswith((server.origin, "data:", "blob:"))

    yield visit
    for context in contexts:
        context.close()
    assert wrong == []


def drawn(page, *names):
    """Wait until these volumes are drawn."""
    there = "".join(f"[data-drawn*='{n}']" for n in names)
    page.wait_for_selector(f"#canvas{there}")
    page.wait_for_selector("#loading", state="hidden")


def picture(page):
    """The pixels of the canvas, when they have come to rest."""

    # Asked of the browser itself: what a screenshot of playwright does besides takes twice the time.
    browser = page.context.new_cdp_session(page)
    where = {**page.locator("#canvas").bounding_box(), "scale": 1}

    def shot():
        page.evaluate("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
        taken = browser.send("Page.captureScreenshot", {"format": "png", "clip": where})["data"]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(taken))).convert("RGB")).astype(
            int
        )

    before = shot()
    for _ in range(20):
        now = shot()
        if np.array_equal(before, now):
            browser.detach()
            return now
        before = now
    raise AssertionError("the picture does not come to rest")


def differ(one, other):
    """Share of pixels that are not the same, in percent."""
    return 100 * np.mean(np.abs(one - other).max(axis=2) > 8)


def test_volumes_are_drawn(visit):
    page = visit()
    assert page.locator("[aria-current] .name").text_content() == "sub-02 T1w"
    assert page.title().startswith("cohort")
    assert "token" not in page.url
    metric = METRICS["snr_total"]
    about = page.get_by_role("rowheader", name=metric.title, exact=True)
    assert about.get_attribute("title").startswith(f"snr_total: {metric.meaning}")
    plain = picture(page)
    assert 5 < 100 * np.mean(plain.max(axis=2) > 40) < 90  # a head on black
    assert plain.std() > 10

    for _ in range(3):
        page.keyboard.press("PageUp")
    moved = picture(page)
    assert differ(plain, moved) > 0.3
    assert "mm · T1w" in page.text_content("#where")

    page.keyboard.press("m")
    page.wait_for_selector("#canvas:not([data-drawn*=outline])")
    bare = picture(page)
    assert differ(moved, bare) > 0.2
    page.keyboard.press("t")
    drawn(page, "tissues")
    coloured = picture(page)
    assert differ(bare, coloured) > 2
    assert grey(bare) > grey(coloured) + 2
    tissues_are_told_apart(page)
    page.locator("#opacity").fill("0.1")
    assert differ(coloured, picture(page)) > 1
    page.keyboard.press("t")
    page.wait_for_selector("#canvas:not([data-drawn*=tissues])")
    assert differ(bare, picture(page)) < 0.1

    page.fill("#window-high", "2000")
    page.keyboard.press("Tab")
    darker = picture(page)
    assert darker.mean() < 0.8 * bare.mean()
    page.click("#window-reset")
    assert differ(bare, picture(page)) < 0.1

    page.keyboard.press("c")
    drawn(page, "bias field")
    assert differ(bare, picture(page)) > 5
    assert page.get_by_role("button", name="tissues").is_disabled()  # in another world than it
    page.keyboard.press("c")
    drawn(page, "T1w")
    page.click("text=axial")
    assert differ(bare, picture(page)) > 5
    page.click("#choose-view button:has-text('3D') >> nth=-1")
    assert picture(page).std() > 5


def tissues_are_told_apart(page):
    page.locator("#opacity").fill("1")
    opaque = picture(page)
    for colour in ((80, 160, 255), (255, 120, 90), (120, 220, 120)):  # CSF, grey, white matter
        assert 100 * np.mean(np.abs(opaque - colour).max(axis=2) < 12) > 1, colour
    assert np.mean(opaque.max(axis=2) < 12) > 0.3  # and nothing outside of the head


def grey(pixels):
    """Share of pixels without colour, in percent."""
    return 100 * np.mean(np.ptp(pixels, axis=2) < 12)


def test_what_is_laid_over(visit):
    page = visit()
    before = picture(page)
    page.keyboard.press("b")
    drawn(page, "edges of MNI152NLin2009aSym")
    assert differ(before, picture(page)) > 0.5
    page.keyboard.press("b")
    page.click("text=sub-01 T1w")  # whose tissues are probabilities
    page.wait_for_selector("h2:has-text('sub-01')")
    page.keyboard.press("t")
    drawn(page, "T1w", "tissues")
    tissues_are_told_apart(page)


def test_three_cases_are_rated_by_keyboard(visit, cohort):
    page = visit("ann")
    page.keyboard.press("f")
    page.wait_for_selector("text=saved")
    page.keyboard.press("j")
    page.wait_for_selector("h2:has-text('sub-03')")
    assert "stopped before" in page.text_content("#nothing")
    page.keyboard.press("n")
    page.keyboard.type("p is no key here\ttab")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second line")
    page.keyboard.press("Enter")
    page.keyboard.press("u")
    page.wait_for_selector("text=saved")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("h2:has-text('sub-01')")
    page.keyboard.press("p")
    page.wait_for_selector("text=saved")
    page.keyboard.press("f")  # on second thoughts
    page.wait_for_selector("[data-rating=fail][aria-pressed=true]")

    other = visit("ben")  # at the same time, in another browser
    other.keyboard.press("p")
    other.wait_for_selector("text=saved")
    assert other.text_content("#progress") == "1 of 4 rated"

    said = {(r.case, r.contrast, r.rater): (r.rating, r.note) for r in ratings.read(cohort)}
    assert said == {
        ("sub-02", "T1w", "ann"): ("fail", ""),
        ("sub-03", "T1w", "ann"): ("unsure", "p is no key here\ttab\nsecond line"),
        ("sub-01", "FLAIR", "ann"): ("fail", ""),
        ("sub-02", "T1w", "ben"): ("pass", ""),
    }

    page.reload()  # the cookie stays, the rater is remembered, the ratings are there
    page.wait_for_selector("#progress:has-text('3 of 4 rated')")
    page.select_option("#filter-rating", "none")
    assert page.locator("#images li").count() == 1
    page.select_option("#filter-rating", "")
    page.select_option("#filter-verdict", "fail")
    assert page.locator("#images li").count() == 2
    page.fill("#filter-text", "snr-low")
    assert page.locator("#images .name").all_text_contents() == ["sub-02 T1w"]


def test_what_is_refused(visit, browser, server, cohort):
    (cohort.parent / "secret.json").write_text("{}")
    page = visit(draws=False)
    ask = "path => fetch(path).then(r => r.status)"
    assert page.evaluate(ask, "/out/sub-02/anat/sub-02_T1w_quality.json") == 200
    context = browser.new_context()
    stranger = context.new_page()
    stranger.goto(f"{server.origin}/#token=wrong")
    stranger.wait_for_selector("text=not the token of the server")
    assert stranger.evaluate(ask, "/out/sub-01_T1w.html") == 401
    assert stranger.locator("canvas").count() == 0
    stranger.goto(server.origin)
    stranger.wait_for_selector("text=open the address that")
    context.close()


def test_reports_reach_nothing(visit, server):
    """The report opens from the page, may run its scripts, and is let near nothing with them."""
    page = visit(draws=False)
    page.click("text=sub-01 T1w")
    page.wait_for_selector("h2:has-text('sub-01')")
    with page.context.expect_page() as opened:
        page.click("#details >> text=Report")
    report = opened.value
    report.wait_for_url("**/out/sub-01_T1w.html")
    for _ in range(200):
        if report.title() != "trying":
            break
        time.sleep(0.02)
    assert report.title() == "refused refused"
    report.click("text=another")
    report.wait_for_url("**/out/sub-02_T1w.html")
    assert report.title() == "report of sub-02"

    with page.context.expect_page() as opened:
        page.click("text=Report of all images")
    every = opened.value
    every.wait_for_url("**/out/index.html")
    assert every.locator("h1").text_content() == "Quality of 2 images"
    every.wait_for_function("document.images[0].naturalWidth === 5")  # its pictures are in it
    every.click("#images a:has-text('sub-02')")
    every.wait_for_url("**/out/sub-02_T1w.html")


def test_on_a_phone(visit):
    page = visit(width=390, height=844, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert picture(page).std() > 10
    box = page.locator("#verdicts").bounding_box()
    assert box["y"] + box["height"] <= 844  # always within reach
    for button in page.locator("#verdicts button").all():
        assert button.bounding_box()["height"] >= 40
    assert not page.locator("#list").is_visible()
    page.tap("#open-list")
    page.tap("#images li:nth-child(4) button")
    page.wait_for_selector("h2:has-text('sub-01')")
    assert not page.locator("#list").is_visible()
    page.tap("[data-rating=pass]")
    page.wait_for_selector("text=saved")

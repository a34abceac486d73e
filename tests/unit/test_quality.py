"""The quality of what a run made: measured on the scan's own grid, judged, written."""

import html
import json

import numpy as np
import pytest

import mriprep as mp
from mriprep.core import Case, Volume
from mriprep.phantom import head
from mriprep.qc import quality as quality_of
from mriprep.qc.metrics import METRICS
from mriprep.qc.outputs import write_all
from mriprep.qc.quality import assess
from mriprep.recipe import load
from mriprep.run import execute

STEPS = [{"n4": {"shrink": 4}}, {"resample": {"spacing": 4.0}}, "zscore", "apply_mask"]


@pytest.fixture(scope="module")
def phantom():
    return head("T1w", spacing=3, orientation="LPS", rotation=(3, 5, 0), noise=0.02, labels=False)


@pytest.fixture(scope="module")
def outcome(phantom):
    case = Case("sub-01", {"T1w": phantom.image}, {"sex": "F", "PatientName": "Doe^Jane"})
    return execute(load({"steps": STEPS}), case, mask=phantom.brain)


@pytest.fixture(scope="module")
def quality(outcome):
    return assess(outcome, report="sub-01_T1w.html")


def test_it_is_plain_data_with_every_metric_or_the_reason_why_not(quality):
    assert json.loads(json.dumps(quality, allow_nan=False)) == quality
    assert {*quality["metrics"], *quality["missing"]} == set(METRICS)
    assert quality["metrics"]["spacing_x"] == 3  # the scan's own grid, not that of the result
    assert quality["verdict"] == "pass", quality["reasons"]
    assert quality["report"] == "sub-01_T1w.html"


def test_it_names_nobody(quality):
    assert "Doe" not in json.dumps(quality)
    assert quality["facts"] == {"sex": "F"}


def test_the_mask_is_the_one_of_the_scans_own_grid(outcome, phantom):
    assert outcome.state["mask"].spacing[0] == 4
    assert np.array_equal(outcome.native["mask"].data, phantom.brain.data)


def test_a_mask_found_elsewhere_is_brought_back(phantom):
    case = Case("sub-01", {"T1w": phantom.image})
    done = execute(load({"steps": STEPS}), case, mask=phantom.brain)
    done.native.clear()  # as where the brain is looked for after the scan was resampled
    mask = quality_of._brain(done)
    assert mask.grid.matches(phantom.image.grid)
    both = (mask.data & phantom.brain.data).sum()
    assert 2 * both / (mask.data.sum() + phantom.brain.data.sum()) > 0.95


def test_without_a_brain_it_says_so(phantom):
    done = execute(load({"steps": ["zscore"]}), Case("sub-01", {"T1w": phantom.image}))
    quality = assess(done)
    assert quality["metrics"] == {}
    assert "no brain mask" in quality["missing"]["all"]
    assert quality["verdict"] == "pass"


def test_a_run_that_stopped_fails_with_the_reason(tmp_path):
    flat = Volume(np.zeros((20, 20, 20), np.float32), np.eye(4))
    done = execute(load({"steps": ["n4"]}), Case("sub-01", {"T1w": flat}))
    made = write_all(done, tmp_path)
    (quality,) = made.qualities.values()
    assert quality["verdict"] == "fail"
    assert quality["reasons"][0]["code"] == "failed"
    assert "constant" in quality["reasons"][0]["says"]
    assert json.loads(made.quality_files[0].read_text()) == quality
    assert "constant" in made.pages[0].read_text("utf-8")


def test_what_is_off_the_scale_is_told_on_page_and_in_file(phantom, tmp_path):
    level = np.percentile(phantom.image.data[phantom.brain.data], 60)
    clipped = phantom.image.replace(np.minimum(phantom.image.data, level))
    done = execute(load({"steps": STEPS}), Case("sub-02", {"T1w": clipped}), mask=phantom.brain)
    made = write_all(done, tmp_path)
    quality = made.qualities["T1w"]
    assert quality["verdict"] == "fail"
    assert "clipped" in [r["code"] for r in quality["reasons"]]
    assert quality["reasons"][0]["says"] in html.unescape(made.pages[0].read_text("utf-8"))
    assert made.quality_files[0].name == "sub-02_T1w_quality.json"


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_lost_slices_are_named_and_fail(phantom, axis):
    """Along whichever axis they lie, and whatever else can be measured then."""
    data = phantom.image.floats()
    middle = data.shape[axis] // 2
    np.moveaxis(data, axis, 0)[middle - 3 : middle + 3] = 0
    scan = phantom.image.replace(data)
    done = execute(load({"steps": STEPS}), Case("sub-03", {"T1w": scan}), mask=phantom.brain)
    quality = assess(done)
    assert quality["metrics"]["empty_slices"] == 6
    assert quality["verdict"] == "fail"
    assert "6 slices within the image hold one value" in " ".join(
        r["says"] for r in quality["reasons"]
    )


def test_it_can_be_left_out(outcome, tmp_path):
    made = write_all(outcome, tmp_path, quality=False, report=False)
    assert not made.qualities
    assert not made.pages
    assert not list(tmp_path.rglob("*quality*"))


def test_from_python(phantom, tmp_path):
    run = mp.recipe({"steps": STEPS})(phantom.image, mask=phantom.brain)
    assert run.quality["verdict"] in ("pass", "look")
    files = run.write(tmp_path)
    assert files[-1].name.endswith("_T1w_quality.json")

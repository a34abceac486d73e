"""What a recipe did to a grid is undone: predictions come back to the scan they belong to."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import mriprep as mp
from mriprep.core import Grid, MriprepError, Transform, Volume
from mriprep.io.images import write_image
from mriprep.phantom import head, template
from mriprep.steps.reorient import reorient

STEPS = [
    {"reorient": {"to": "LPS"}},
    {"resample": {"spacing": 2.0}},
    {"crop": {"margin": 6}},
    {"pad": {"shape": [120, 130, 120]}},
    "zscore",
]


@functools.cache
def scan():
    return head(spacing=3, seed=3, rotation=(8, -5, 10), translation=(5, -6, 4))


def dice(found, truth):
    scores = []
    for label in np.unique(truth[truth > 0]):
        a, b = found == label, truth == label
        scores.append(2 * (a & b).sum() / (a.sum() + b.sum()))
    return float(np.mean(scores))


def done(image, labels, steps=STEPS):
    return mp.recipe({"steps": steps})(image, labels=labels)


@pytest.mark.parametrize("orientation", ["RAS", "LAS", "LPS", "PSR"])
def test_labels_come_back_to_any_orientation(orientation):
    image, labels = (reorient(v, to=orientation) for v in (scan().image, scan().tissues))
    run = done(image, labels)
    back = mp.restore(run.labels, run)
    assert back.grid.matches(image.grid)
    assert set(np.unique(back.data)) <= set(np.unique(labels.data))
    assert dice(back.data, labels.data) > 0.93


def test_oblique_and_thick_slices():
    affine = Transform.rigid((15, -12, 8)).matrix @ np.diag([-0.9, 0.9, 5.5, 1.0])
    grid = Grid((200, 240, 36), affine)
    affine[:3, 3] = -grid.center
    phantom = head(grid=Grid(grid.shape, affine), seed=3)
    run = done(phantom.image, phantom.tissues, ["zscore", {"resample": {"spacing": 1.5}}])
    back = mp.restore(run.labels, run)
    assert back.grid.matches(phantom.grid)
    assert dice(back.data, phantom.tissues.data) > 0.9


def test_through_a_template_and_from_the_files(tmp_path):
    write_image(template(spacing=3), tmp_path / "tpl.nii.gz")
    phantom = scan()
    steps = [{"register": {"template": str(tmp_path / "tpl.nii.gz")}}, {"resample": {"spacing": 2}}]
    run = done(phantom.image, phantom.tissues, steps)
    run.write(tmp_path / "out")
    back = mp.restore(run.labels, tmp_path / "out")
    assert back.grid.matches(phantom.grid)
    assert dice(back.data, phantom.tissues.data) > 0.93
    there = mp.apply(phantom.tissues, run, to="template")
    assert there.grid.matches(run.labels.grid)
    assert (there.data == run.labels.data).mean() > 0.999


def test_itk_maps_the_same_points(tmp_path):
    import SimpleITK

    write_image(template(spacing=3), tmp_path / "tpl.nii.gz")
    steps = [{"register": {"template": str(tmp_path / "tpl.nii.gz")}}, {"resample": {"spacing": 3}}]
    run = done(scan().image, None, steps)
    written = run.write(tmp_path / "out")
    file = next(p for p in written if p.name.endswith("_xfm.tfm"))
    itk = SimpleITK.ReadTransform(str(file))
    flip = np.array([-1.0, -1.0, 1.0])  # ITK's world is LPS
    for point in np.random.default_rng(0).uniform(-80, 80, (20, 3)):
        there = np.array(itk.TransformPoint((flip * point).tolist())) * flip
        assert there == pytest.approx(run.transform(point), abs=0.01)


def test_probabilities_stay_probabilities():
    phantom = scan()
    run = done(phantom.image, phantom.tissues)
    classes = [(run.labels.data == n).astype(np.float32) for n in np.unique(run.labels.data)]
    back = mp.restore(np.stack(classes, axis=-1), run)
    assert len(back) == len(classes)
    total = sum(v.data for v in back)
    assert total == pytest.approx(1, abs=1e-4)
    assert min(float(v.data.min()) for v in back) >= 0
    most = mp.restore(np.stack(classes, axis=-1), run, argmax=True)
    assert most.grid.matches(phantom.grid)


def test_another_grid_is_refused_and_headers_can_be_ignored():
    phantom = scan()
    run = done(phantom.image, phantom.tissues)
    dropped = Volume(
        run.labels.data, np.eye(4), role="labels"
    )  # as networks that drop headers write
    with pytest.raises(MriprepError) as told:
        mp.restore(dropped, run)
    assert "ignore" in str(told.value)
    back = mp.restore(dropped, run, ignore_header=True)
    assert (back.data == mp.restore(run.labels, run).data).all()
    with pytest.raises(MriprepError):
        mp.restore(Volume(np.zeros((9, 9, 9), np.uint8), np.eye(4), role="labels"), run)


def test_without_a_record():
    with pytest.raises(MriprepError) as told:
        mp.restore(scan().tissues)
    assert told.value.hint


def test_on_the_command_line(tmp_path):
    from mriprep.cli import main

    phantom = scan()
    run = done(phantom.image, phantom.tissues)
    run.write(tmp_path / "out")
    write_image(run.labels, tmp_path / "prediction_dseg.nii.gz")

    def cli(*arguments):
        with pytest.raises(SystemExit) as left:
            main([str(a) for a in arguments])
        return left.value.code or 0

    native = tmp_path / "native_dseg.nii.gz"
    given = (tmp_path / "prediction_dseg.nii.gz", native, "--record", tmp_path / "out")
    assert cli("restore", *given) == 0
    assert (mp.read(native).data == mp.restore(run.labels, run).data).all()
    assert (tmp_path / "native_dseg.json").is_file()
    there = tmp_path / "there_dseg.nii.gz"
    assert cli("apply", native, there, "--to", "template", "--record", tmp_path / "out") == 0
    assert mp.read(there).grid.matches(run.labels.grid)
    assert cli("restore", tmp_path / "none.nii.gz", native, "--record", tmp_path / "out") != 0
    assert cli("restore", native, native, "--record", tmp_path / "out") != 0

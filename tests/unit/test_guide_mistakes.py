"""What hand-written pipelines get wrong, one test each."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import mriprep as mp
from mriprep.phantom import head, template
from mriprep.recipe import load
from mriprep.run import execute

OBLIQUE = mp.Transform.rigid((12, -9, 15), (4, -6, 9)).matrix @ np.diag([-2.0, 2.0, 3.0, 1.0])


def scan(seed: int = 0) -> mp.Volume:
    """A bright ball in noise, on an oblique left-handed grid."""
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 30, (28, 30, 24)).astype(np.int16)
    i, j, k = np.indices(data.shape)
    ball = ((i - 13) * 2) ** 2 + ((j - 16) * 2) ** 2 + ((k - 11) * 3) ** 2 < 20**2
    data[ball] += 400
    return mp.Volume(data, OBLIQUE)


def centre(image: mp.Volume, above: float) -> np.ndarray:
    """Where the bright ball is in the world."""
    return image.grid.to_world(np.argwhere(image.data > above)).mean(0)


def test_spacing_origin_and_direction_survive_the_whole_chain() -> None:
    image = scan()
    steps = [
        {"reorient": {"to": "RAS"}},
        "denoise",
        "background",
        {"resample": {"spacing": 1.5}},
        {"crop": {"margin": 6}},
        {"pad": {"shape": 48}},
        {"rescale": {"to": [0, 1]}},
    ]
    outcome = execute(load({"steps": steps}), mp.Case("sub-x", {"T1w": image}))
    assert outcome.failure is None
    assert outcome.image.shape == (48, 48, 48)
    np.testing.assert_allclose(outcome.image.spacing, 1.5)
    found = centre(outcome.image, 0.5)
    np.testing.assert_allclose(found, centre(image, 200), atol=0.5)


def test_the_transform_is_returned_and_brings_the_scan_onto_the_template() -> None:
    reference = template("T1w", spacing=4)
    moved = head("T1w", spacing=4, rotation=(6, -5, 8), translation=(5, -7, 6), labels=False)
    pose = mp.register(moved.image, to=reference)
    assert pose.matrix.shape == (4, 4)
    brain = moved.brain.grid.to_world(np.argwhere(moved.brain.data)[::50])
    in_template = moved.pose.inverse()(brain)
    assert pose.distance(moved.pose, in_template) < 1.0
    before = mp.resample(moved.image, to=reference).data.ravel()
    after = mp.resample(moved.image, to=pose).data.ravel()
    target = reference.data.ravel()
    assert np.corrcoef(after, target)[0, 1] > 0.95 > np.corrcoef(before, target)[0, 1]


def test_cubic_splines_make_no_negatives_and_nothing_wraps_in_16_bit(tmp_path) -> None:
    data = np.zeros((20, 20, 20), np.uint16)
    data[6:14, 6:14, 6:14] = 65000  # an edge that an unclamped spline overshoots on both sides
    image = mp.Volume(data, np.eye(4))
    fine = mp.resample(image, spacing=0.7, interpolation="cubic")
    assert fine.data.min() >= 0
    assert fine.data.max() <= 65000
    from mriprep.io.images import write_image

    stored = mp.read(write_image(fine, tmp_path / "a.nii.gz", dtype=np.uint16))
    np.testing.assert_allclose(stored.data, fine.data, atol=1)


@pytest.mark.parametrize(
    ("size", "spacing", "new"),
    list(itertools.product((10, 11, 64, 173), (0.75, 0.9, 1.2, 5.5), (1.0, 0.8, 2.0))),
)
def test_sizes_are_never_truncated(size: int, spacing: float, new: float) -> None:
    grid = mp.Grid((size, 4, 4), np.diag([spacing, 1, 1, 1]))
    fine = grid.with_spacing(new)
    old_ends = grid.to_world([[-0.5, 0, 0], [size - 0.5, 0, 0]])[:, 0]
    new_ends = fine.to_world([[-0.5, 0, 0], [fine.shape[0] - 0.5, 0, 0]])[:, 0]
    assert new_ends[0] <= old_ends[0] + 2e-3
    assert new_ends[1] >= old_ends[1] - 2e-3
    assert fine.shape[0] * new < size * spacing + new


def test_labels_are_not_interpolated_as_images() -> None:
    labels = np.zeros((24, 24, 24), np.int16)
    labels[4:12, 4:20, 4:20] = 10
    labels[12:20, 4:20, 4:20] = 50  # between 10 and 50 lies nothing
    volume = mp.Volume(labels, OBLIQUE, "labels")
    for method in ("onehot", "nearest"):
        moved = mp.resample(volume, mp.Transform.rigid((7, 3, 5)), volume, labels=method)
        assert set(np.unique(moved.data)) == {0, 10, 50}
        assert moved.data.dtype == labels.dtype


def test_a_failing_step_is_not_hidden(monkeypatch) -> None:
    from mriprep.engines.registration import elastix, native

    def fails(*_: object, **__: object) -> None:
        raise mp.EngineError("the images do not overlap", hint="look at them")

    monkeypatch.setattr(native, "estimate", fails)
    monkeypatch.setattr(elastix, "estimate", fails)
    recipe = load({"steps": ["register", {"resample": {"spacing": 2.0}}]})
    stripped = template("T1w", spacing=4)
    brain = mp.apply_mask(stripped, mp.resample(head(spacing=4, labels=False).brain, to=stripped))
    outcome = execute(recipe, mp.Case("sub-x", {"T1w": brain}))
    assert outcome.failure is not None
    assert outcome.failure.step == "register"
    assert outcome.failure.hint == "look at them"
    assert outcome.failure.exit_code != 0
    with pytest.raises(mp.EngineError):
        mp.recipe({"steps": ["register"]})(brain)


@pytest.mark.parametrize(
    "call",
    [
        mp.background,
        mp.rescale,
        mp.bins,
        mp.equalize,
        mp.denoise,
        mp.zscore,
    ],
)
def test_nothing_works_in_place(call) -> None:
    image = scan()
    before = image.data.copy()
    result = call(image)
    np.testing.assert_array_equal(image.data, before)
    assert not np.shares_memory(result.data, image.data)
    with pytest.raises(ValueError, match="read-only"):
        image.data[0, 0, 0] = 1

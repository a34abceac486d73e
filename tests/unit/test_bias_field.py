"""A bias field from its lattice: replayed on the scan, on other grids, and undone."""

from __future__ import annotations

import numpy as np
import pytest

import mriprep as mp
from mriprep.phantom import head


@pytest.fixture(scope="module", params=["LPS", "oblique"])
def run(request, tmp_path_factory):
    settings = {"noise": 0.02, "bias": 0.5, "labels": False, "seed": 3, "dtype": "int16"}
    if request.param == "oblique":
        turn = mp.Transform.rigid((8, -5, 12), (3, 2, -4)).matrix
        grid = mp.Grid((44, 40, 20), turn @ head(spacing=(5, 6, 11), bias=0).grid.affine)
        scan = head("T1w", grid=grid, **settings).image
    else:
        scan = head("T1w", spacing=(5, 4, 6), orientation="LPS", **settings).image
    done = mp.recipe({"steps": [{"n4": {"shrink": 4}}]})(scan)
    return scan, done, done.write(tmp_path_factory.mktemp("out"))


def written(files, what):
    return mp.read(next(f for f in files if f"desc-{what}_" in f.name and f.name.endswith("gz")))


def test_the_written_lattice_is_the_kept_field(run):
    scan, done, files = run
    field = mp.bias_field(written(files, "biaslattice"), like=scan)
    assert field.grid == scan.grid
    assert field.data.dtype == np.float32
    assert np.ptp(field.data) > 0.2
    np.testing.assert_allclose(field.data, done.outcome.kept["bias_field"].data, rtol=2e-5)
    np.testing.assert_allclose(field.data, written(files, "biasfield").data, rtol=2e-5)


def test_dividing_corrects_and_multiplying_gives_the_scan_back(run):
    scan, done, files = run
    field = mp.bias_field(written(files, "biaslattice"), like=scan)
    corrected = scan.replace(scan.data / field.data)
    np.testing.assert_allclose(corrected.data, done.image.data, rtol=2e-5, atol=1e-3)
    assert np.array_equal(np.rint(corrected.data * field.data).astype(np.int16), scan.data)


def test_another_contrast_on_another_grid(run):
    scan, done, files = run
    lattice = written(files, "biaslattice")
    other = mp.reorient(scan, to="PSR").grid.with_spacing((3, 7, 5))
    field = mp.bias_field(lattice, like=other)
    # Where voxels of the two grids are near each other, so are the fields.
    expected = mp.resample(done.outcome.kept["bias_field"], to=other, antialias=False).data
    inside = expected > 0
    assert inside.mean() > 0.8
    np.testing.assert_allclose(field.data[inside], expected[inside], rtol=0.02)


def test_beyond_the_field_of_view_the_edge_is_kept(run):
    scan, _, files = run
    lattice = written(files, "biaslattice")
    n = scan.shape[0]
    wide = scan.grid.window((-4, 0, 0), (n + 8, *scan.shape[1:]))
    field = mp.bias_field(lattice, like=wide).data
    inner = mp.bias_field(lattice, like=scan).data
    np.testing.assert_allclose(field[:4], np.repeat(inner[:1], 4, axis=0), rtol=1e-3)
    np.testing.assert_allclose(field[4:-4], inner, rtol=1e-4)


def test_what_is_no_lattice_is_refused(run):
    scan, done, files = run
    for wrong in (done.outcome.kept["bias_field"], scan):
        with pytest.raises(mp.InputError, match="not a lattice") as error:
            mp.bias_field(wrong, like=scan)
        assert "desc-biaslattice" in error.value.hint
    lattice = written(files, "biaslattice")
    with pytest.raises(mp.InputError, match="four finite control points"):
        mp.bias_field(lattice.replace(np.full(lattice.shape, np.nan)), like=scan)

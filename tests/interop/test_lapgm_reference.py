"""Our LapGM against its authors' package: the same problem, the same field."""

from __future__ import annotations

import numpy as np
import pytest

import mriprep as mp
from mriprep import engines
from mriprep.engines.bias import lapgm
from mriprep.phantom import head

pytest.importorskip("lapgm", reason="the extra 'lapgm' is not installed")


def reference():
    return engines.load("bias", "lapgm-reference")


def test_where_everything_is_measured_the_fields_are_the_same() -> None:
    """Without a mask the two problems are one: to the modes that are left out."""
    scan = head("T1w", spacing=7, noise=0.02, bias=0.4, seed=2, labels=False)
    values = np.maximum(scan.image.data, 1) + 50
    image = scan.image.replace(values.astype(np.float32))
    mask = image.replace(np.ones(image.shape, bool), role="mask")
    settings = {"tau": 2e-5, "classes": 3, "shrink": 7, "iterations": 25, "convergence": 1e-6}
    ours, _ = lapgm.field(image, mask, **settings)
    theirs, _ = reference().field(image, mask, **settings)
    a, b = np.log(ours.data).ravel(), np.log(theirs.data).ravel()
    assert np.corrcoef(a, b)[0, 1] > 0.995
    assert np.std(a - b) < 0.1 * np.std(b)


@pytest.mark.parametrize("contrast", ["T1w", "T2w"])
def test_in_a_mask_they_agree(contrast) -> None:
    """The prior holds everywhere; nothing is measured beyond the mask."""
    scan = head(contrast, spacing=6, noise=0.02, bias=0.4, seed=2, labels=False)
    mask = scan.brain.replace(scan.brain.data & (scan.image.data > 0))
    settings = {"classes": 4, "shrink": 6}
    ours, _ = lapgm.field(scan.image, mask, **settings)
    theirs, _ = reference().field(scan.image, mask, **settings)
    a, b = (np.log(f.data[mask.data]) for f in (ours, theirs))
    assert np.corrcoef(a, b)[0, 1] > 0.99


def test_the_normalisation_is_theirs() -> None:
    import lapgm as package

    rng = np.random.default_rng(0)
    mixture = lapgm.Mixture(np.ones(3) / 3, rng.normal(4, 1, (3, 2)), np.zeros((3, 2, 2)))

    class Parameters:
        mu = mixture.means

    arrays = package.to_sequence_array(list(rng.uniform(1, 9, (2, 3, 3, 3))))
    each = package.normalize(arrays, Parameters, 1000.0)
    # The package means "the largest mean of each channel" but takes it of each class: turned here.
    Parameters.mu = mixture.means.T
    jointly = package.normalize(arrays, Parameters, 1000.0, per_seq_norm=False)
    for theirs, ours in ((each, False), (jointly, True)):
        scales = lapgm.scales(mixture, jointly=ours)[:, None, None, None]
        np.testing.assert_allclose(theirs, arrays / scales * 1000)


def test_the_step_runs_it() -> None:
    scan = head("T1w", spacing=7, noise=0.02, bias=0.4, seed=2, labels=False)
    result = mp.lapgm(scan.image, scan.brain, engine="lapgm-reference", shrink=7, iterations=3)
    again = mp.lapgm(scan.image, scan.brain, engine="lapgm-reference", shrink=7, iterations=3)
    assert np.isfinite(result.data).all()
    np.testing.assert_array_equal(result.data, again.data)

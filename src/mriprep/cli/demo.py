"""``demo``: the whole pipeline on a digital head, whose truth is known."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from mriprep.core import Transform, Volume


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    short_help="Make a digital head, preprocess it, compare with the truth.",
)
@click.argument("output", type=click.Path(path_type=Path), default="mriprep-demo", metavar="[OUT]")
def demo(output: Path) -> int:
    """A tour: a digital head as DICOM, through the whole pipeline, compared with its truth.

    A head is simulated, turned and shifted, shaded by a coil and noisy; it is
    written as a DICOM series, as a scanner would; `mriprep run` takes it from
    there to slices and a report. Since pose, brain mask and bias field of a
    digital head are known, the tour ends with how far the results are from
    them. Needs no network; takes a minute or two.
    """
    from mriprep.api import write
    from mriprep.cli.pipeline import run, run_case
    from mriprep.io.atomic import writable_folder
    from mriprep.phantom import head, template
    from mriprep.phantom.dicom import write_dicom

    folder = writable_folder(output)
    click.echo("1. simulating a head, as a scanner would see it ...")
    phantom = head(
        "T1w", orientation="LPS", rotation=(9.0, -6.0, 12.0), translation=(6.0, -8.0, 10.0),
        noise=0.03, bias=0.4, seed=1, dtype="int16",
    )  # fmt: skip
    dicom = folder / "dicom"
    write_dicom(phantom, dicom)
    head_template = write(template("T1w"), folder / "phantom-head.nii.gz")
    click.echo(f"   {len(list(dicom.iterdir()))} DICOM files in {dicom}, a template beside them")
    click.echo(f"2. mriprep run {dicom} {folder / 'out'} --recipe guide --template {head_template}")
    arguments = [dicom, folder / "out", "--recipe", "guide", "--template", head_template,
                 "--name", "phantom"]  # fmt: skip
    given = run.make_context("run", [str(a) for a in arguments]).params
    results: list[Any] = []
    status = run_case(given.pop("sources"), given.pop("output"), results=results, **given)
    if status:
        return status
    click.echo("3. how far the results are from the truth:")
    for line in compare(results[0], phantom):
        click.echo(f"   {line}")
    click.echo(f"\nOpen the report in a browser: {folder / 'out' / 'sub-phantom_T1w.html'}")
    click.echo("and go on with scans of your own: mriprep run SCAN out/")
    if not shutil.which("mriprep"):
        activate = Path(sys.prefix) / "bin" / "activate"
        click.echo(f"(`mriprep` is found after: source {_short(activate)})")
    return 0


def _short(path: Path) -> str:
    """A path from the current folder, where it lies below it."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def compare(outcome: Any, phantom: Any) -> list[str]:
    """How far pose, brain mask and bias field of a run are from a phantom's truth, in words."""
    from mriprep.steps.resample import resample

    found: Transform = outcome.state["transform"]
    inside = np.argwhere(phantom.brain.data)[::997]
    in_template = phantom.pose.inverse()(phantom.brain.grid.to_world(inside))
    apart = found.distance(phantom.pose, in_template)
    here = outcome.image.grid
    truth: Volume = resample(phantom.brain, found, here)
    mask = outcome.state["mask"].data
    dice = 2 * float((mask & truth.data).sum()) / float(mask.sum() + truth.data.sum())
    true_field = resample(phantom.bias_field.replace(role="image"), found, here)
    field = outcome.kept["bias_field"]
    both = mask & truth.data
    a, b = np.log(field.data[both]), np.log(np.maximum(true_field.data[both], 1e-6))
    r = float(np.corrcoef(a, b)[0, 1])
    left = float(np.std(a - b) / np.std(b))
    return [
        f"pose:       {apart:.2f} mm from the true pose, on average over the brain",
        f"brain mask: Dice {dice:.3f} with the true brain",
        f"bias field: correlation {r:.3f} with the true field; {100 * left:.0f} % of the shading is left",
    ]

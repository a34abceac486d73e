"""``verify``: a sample of cases again, compared voxel by voxel."""

from __future__ import annotations

from pathlib import Path

import click

from .freeze import own_templates

_PATH = click.Path(path_type=Path)


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    short_help="Run a sample again: are all voxels the same?",
)
@click.argument("out", type=_PATH, metavar="OUT")
@click.option(
    "--inputs",
    type=_PATH,
    multiple=True,
    required=True,
    metavar="PATH",
    help="The scans, or a folder that holds them; may be repeated. Records know them by name and"
    " hash; where they lay is in none.",
)
@click.option(
    "--sample", type=click.IntRange(min=1), default=3, show_default=True, help="How many cases."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Which cases are drawn.")
@own_templates
def verify(
    out: Path, inputs: tuple[Path, ...], sample: int, seed: int, files: tuple[Path, ...]
) -> int:
    """Run a sample of the cases in OUT again, and say how far their voxels are from what was written.

    \b
      mriprep verify out/ --inputs bids/
      mriprep verify out/ --inputs bids/ --sample 10 --seed 2

    Nothing is written. The exit code is 0 only where every voxel of every image, mask and label is
    the same.
    """  # noqa: D301
    from mriprep.verifying import verify as work

    done = work(out, inputs, sample=sample, seed=seed, files=files)
    for one in done:
        where = f"{one.case} {one.file}".strip()
        apart = "" if one.difference is None else f", largest difference {one.difference:g}"
        if one.same:
            click.echo(f"same: {where}{apart}")
        else:
            click.secho("not the same: ", fg="red", nl=False)
            click.echo(f"{where}: {one.why}{apart}")
    bad = [one for one in done if not one.same]
    cases = len({one.case for one in done})
    click.echo(
        f"{cases} case{'s' if cases != 1 else ''}, {len(done) - len(bad)} of {len(done)} the same"
    )
    return 1 if bad else 0

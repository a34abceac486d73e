"""``freeze``: what a run did, in one file that does the same to a new scan."""

from __future__ import annotations

from pathlib import Path

import click

_PATH = click.Path(path_type=Path)

own_templates = click.option(
    "--files",
    type=_PATH,
    multiple=True,
    metavar="PATH",
    help="A template of your own that the run used, or a folder that holds it; may be repeated.",
)


@click.command(
    context_settings={"help_option_names": ["-h", "--help"]},
    short_help="One file that does the same to a new scan.",
)
@click.argument("out", type=_PATH, metavar="OUT")
@click.argument("path", type=_PATH, metavar="MODEL.recipe")
@own_templates
def freeze(out: Path, path: Path, files: tuple[Path, ...]) -> int:
    """Freeze what `mriprep run` did into one file, which does the same to new scans.

    \b
      mriprep freeze out/ model.recipe
      mriprep run new.nii.gz new/ --recipe model.recipe
      mriprep freeze out/ model.recipe --files templates/       # where a template of yours lies

    In it are the recipe with every parameter, fitted states, your own templates, the versions,
    and the hashes of other templates and weights: others are refused when it is used. All cases
    in OUT must have been done alike. See docs/inference.md.
    """  # noqa: D301
    from mriprep.freezing import freeze as work
    from mriprep.frozen import read_frozen

    done = work(out, path, files=files)
    content, inside = read_frozen(done)
    cases = content["cases"]
    click.echo(
        f"{done}: {content['recipe']['name']}, {len(content['recipe']['steps'])} steps, from"
        f" {cases} case{'s' if cases != 1 else ''}"
    )
    for name in inside:
        click.echo(f"  with {name}")
    return 0

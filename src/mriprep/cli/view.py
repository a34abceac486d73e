"""``view``: go through a cohort in the browser, and rate it."""

from __future__ import annotations

from pathlib import Path

import click

from mriprep.viewer.server import PORT

_HELP = {"help_option_names": ["-h", "--help"]}


@click.command(context_settings=_HELP, short_help="Go through outputs in the browser; rate them.")
@click.argument("folder", type=click.Path(path_type=Path), metavar="OUT")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True,
              help="Where to listen; 0: a port that is free.")  # fmt: skip
@click.option("--rater", metavar="NAME", help="The name under which you rate; the page asks else.")
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@click.option("--host", default="127.0.0.1", show_default=True,
              help="The address to listen at; another than this machine's own needs --allow-remote.")  # fmt: skip
@click.option("--allow-remote", is_flag=True,
              help="Let others of the network reach it. The token is still asked for, but nothing is"
              " encrypted: whoever can listen on the network sees the images and the token.")  # fmt: skip
def view(
    folder: Path, port: int, rater: str | None, no_browser: bool, host: str, allow_remote: bool
) -> int:
    """Go through the outputs of a run or a cohort in the browser, the worst first, and rate them.

    \b
      mriprep view out/
      mriprep view out/ --rater second-reader --port 0 --no-browser

    Images are shown in three planes and in 3D with the brain mask, tissues
    and the template over them. Ratings and notes go to OUT/ratings.tsv at
    once; several people may rate at the same time. The address that is
    printed has a token in it: without it nothing is answered. Nothing leaves
    this machine.
    """  # noqa: D301
    from mriprep.viewer import serve

    serve(
        folder,
        host=host,
        port=port,
        allow_remote=allow_remote,
        rater=rater,
        browser=not no_browser,
        say=lambda line: click.echo(line),
    )
    return 0

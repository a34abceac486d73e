"""``run``, ``plan`` and ``recipes``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mriprep.core import Grid, Volume

from .cohort import cohort_options, holds_many
from .telling import doubted, judged, told

_FILE = click.Path(path_type=Path)
_HELP = {"help_option_names": ["-h", "--help"]}


def _recipe_options(command: Any) -> Any:
    """What `run` and `plan` share."""
    for option in reversed(
        [
            click.option(
                "--recipe", "-r", "recipe_name", default="adult-t1", show_default=True,
                help="A preset (see `mriprep recipes`), the path of a YAML file, or a frozen recipe.",
            ),
            click.option(
                "--template", help="Template to register to: a file, 'mni152', 'auto' (by age), or"
                " a TemplateFlow name. Short for --set register.template=...",
            ),
            click.option(
                "--age", help="Age at the scan: 7.5 (years), 30mo, 6w, 14d, or adult. Chooses the"
                " template where it goes by age; on record.",
            ),
            click.option(
                "--offline", is_flag=True, help="Never try the network: templates must be there.",
            ),
            click.option(
                "--set", "settings", multiple=True, metavar="STEP.PARAMETER=VALUE",
                help="Set a parameter of the recipe; may be repeated.",
            ),
            click.option(
                "--skip", multiple=True, metavar="STEP[,STEP]", help="Leave steps out;"
                " may be repeated."
            ),
            click.option("--series", help="Which DICOM series: number, or part of its description."),
            click.option("--volume", type=int, help="Which volume of a 4D file, from 0."),
            click.option("--contrast", help="Which contrast, if there are several (T1w, T2w, ...)."),
            click.option(
                "--reference", metavar="CONTRAST", help="In a session of several contrasts, the one"
                " that the others are laid upon; T1c, else T1w, else the finest without it.",
            ),
            click.option(
                "--mask", type=_FILE, multiple=True, metavar="[CONTRAST=]FILE",
                help="A brain mask that comes with the scan (or with one contrast of a session).",
            ),
            click.option(
                "--labels", type=_FILE, multiple=True, metavar="[CONTRAST=]FILE",
                help="Labels that come with the scan (or with one contrast of a session).",
            ),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


@click.command(context_settings=_HELP, short_help="Preprocess a scan, or a session, by a recipe.")
@click.argument("sources", type=_FILE, nargs=-1, metavar="IN...")
@click.argument("output", type=_FILE, metavar="OUT")
@_recipe_options
@click.option("--name", help="The case's name in file names; from the input's name by default.")
@click.option("--dicom-engine", type=click.Choice(["dcm2niix", "dicom2nifti"]), default="dcm2niix",
              show_default=True, help="What converts DICOM.")  # fmt: skip
@click.option(
    "--report/--no-report", default=True, show_default=True, help="Write the HTML report."
)
@click.option(
    "--quality/--no-quality",
    default=True,
    show_default=True,
    help="Measure the quality of each image, and judge it: a few seconds each.",
)
@cohort_options
def run(sources: tuple[Path, ...], output: Path, **given: Any) -> int:
    """Preprocess a scan, or several contrasts of a session, by a recipe.

    IN is an image, or a folder or zip of DICOM; for recipes that take a
    session, also a folder of images, or several files. OUT is a folder: it gets the
    image, masks, transform and slices under names as in BIDS derivatives, a
    JSON record beside each, and a report to open in a browser.

    \b
      mriprep run scan.nii.gz out/
      mriprep run dicom/ out/ --series 3 --recipe guide --template head.nii.gz
      mriprep run scan.nii.gz out/ --set n4.shrink=2 --skip slices
      mriprep run session/ out/ --recipe multimodal --reference T1w
      mriprep run T1c.nii.gz FLAIR.nii.gz out/ --recipe brats --template sri24.nii.gz

    IN may also hold many cases: a BIDS dataset, a folder of several subjects, a table
    (CSV, TSV, Parquet). They are done one beside the other; one that fails stops none;
    the same command again goes on where it was stopped. See docs/cohort.md.

    \b
      mriprep run bids/ out/ --jobs 4
      mriprep run table.csv out/ --cluster slurm --cluster-options slurm.yaml
    """  # noqa: D301
    if not sources:
        raise click.UsageError(f"OUT is missing; did you mean: mriprep run {output} out/")
    return run_case(sources, output, **given)


def run_case(
    sources: Path | tuple[Path, ...],
    output: Path,
    *,
    results: list[Any] | None = None,
    **given: Any,
) -> int:
    """Do what the command `run` does; `results`, if given, gets the outcome."""
    from mriprep.io.atomic import no_empty_folder
    from mriprep.io.offline import staying_offline
    from mriprep.outputs import beside, check_output

    paths = sources if isinstance(sources, tuple) else (sources,)
    check_output(output, paths)
    if neighbour := beside(output, paths):
        click.echo(
            f"note: OUT is the folder of '{neighbour.name}': what is made will lie among the scans;"
            " a folder of its own keeps the two apart",
            err=True,
        )
    with staying_offline(given["offline"]), no_empty_folder(output):
        recipe = recipe_of(given)
        if holds_many(paths, given):
            from .cohort import run_many

            return run_many(paths[0], output, recipe, given)
        if recipe.session is not None:
            from .session import run_session

            return run_session(recipe, paths, output, results, given)
        return _run_case(recipe, _one(recipe, paths, given), output, results, given)


def _one(recipe: Any, sources: tuple[Path, ...], given: dict[str, Any]) -> Path:
    """The one source of a recipe that takes one contrast."""
    from mriprep.core import RecipeError
    from mriprep.session_plan import session_of

    if len(sources) > 1:
        session_of(recipe)
    for option in ("mask", "labels"):
        if len(given[option]) > 1:
            raise RecipeError(f"--{option} was given {len(given[option])} times for one scan")
    if given["reference"]:
        raise RecipeError(
            f"--reference is for sessions, and the recipe '{recipe.name}' takes one contrast",
            hint="say which with --contrast, or take --recipe multimodal or brats",
        )
    return sources[0]


def _run_case(
    recipe: Any, source: Path, output: Path, results: list[Any] | None, given: dict[str, Any]
) -> int:
    from mriprep.core.age import parse_age
    from mriprep.intake import read_case, with_given_age
    from mriprep.io.atomic import writable_folder
    from mriprep.run import execute, listening

    if given["age"]:
        parse_age(given["age"])  # a slip is told before anything is read
    folder = writable_folder(output)
    with listening() as said:  # told at the end, and on record
        case = read_case(
            source,
            name=given["name"],
            volume=given["volume"],
            series=given["series"],
            engine=given["dicom_engine"],
        )
        companions = {k: _companion(next(iter(given[k]), None), k) for k in ("mask", "labels")}
        case = with_given_age(case, given["age"])
    _child(case, recipe.name)
    contrast = given["contrast"] or case.reference
    grids = {"image": case[contrast].grid}
    with listening():  # said again, and kept, when it is done
        planned = _planned(recipe.informed(case.facts, contrast), grids, companions)
    from mriprep.cli.progress import watching

    with watching([(s.name, s.seconds) for s in planned.steps]) as progress:
        outcome = execute(
            recipe, case, contrast=contrast, progress=progress, said=said, **companions
        )
    if results is not None:
        results.append(outcome)
    return finish(outcome, folder, given)


def _child(case: Any, recipe: str) -> None:
    """Say of a child in a recipe for adults that there is one with templates by age."""
    from mriprep.core.age import ADULT_FROM

    age = case.facts.get("age")
    if recipe == "adult-t1" and isinstance(age, int | float) and age < ADULT_FROM:
        click.echo(
            f"note: the person is {age:g} years old; --recipe pediatric-t1 takes a template of that age",
            err=True,
        )


def finish(done: Any, folder: Path, given: dict[str, Any]) -> int:
    """Write what there is of a case or session, say where and how good it is, and the exit code."""
    from mriprep.cli.progress import working
    from mriprep.qc.outputs import write_all
    from mriprep.session import SessionOutcome

    told(done.all_warnings)
    with working("writing and measuring" if given["quality"] else "writing"):
        made = write_all(done, folder, report=given["report"], quality=given["quality"])
    for page in made.pages:
        click.echo(f"report: {page}")
    if done.failure is not None:
        return stopped(done.failure, done.error)
    if isinstance(done, SessionOutcome):
        outcomes = list(done.outcomes.values())
        what = f"{', '.join(done.outcomes)} (reference {done.reference})"
    else:
        outcomes = [done]
        what = f"{len(done.steps)} steps"
    seconds = sum(s.seconds for o in outcomes for s in o.steps)
    click.echo(f"{done.case.name}: {what} in {seconds:.1f} s")
    judged(made.qualities)
    listed(made.results)
    return doubted([d for o in outcomes for d in o.doubts])


def stopped(failure: Any, error: Exception | None) -> int:
    """Say why a run stopped, and the exit code."""
    click.secho(f"stopped at '{failure.step}': ", fg="red", nl=False, err=True)
    click.echo(failure.message, err=True)
    if failure.hint:
        click.echo(f"hint: {failure.hint}", err=True)
    context = click.get_current_context(silent=True)
    if context is not None and context.obj and error is not None:  # --debug
        import traceback

        traceback.print_exception(error)
    return int(failure.exit_code)


def listed(written: list[Path]) -> None:
    """Print the first of the files that were written."""
    for path in written[:6]:
        click.echo(f"  {path}")
    if len(written) > 6:
        click.echo(f"  and {len(written) - 6} more in {written[-1].parent}")


@click.command(context_settings=_HELP, short_help="Say what a recipe would do, reading no voxels.")
@click.argument("sources", type=_FILE, nargs=-1, required=True, metavar="IN...")
@_recipe_options
@click.option("--json", "as_json", is_flag=True, help="As JSON, for scripts.")
def plan(sources: tuple[Path, ...], as_json: bool, **given: Any) -> int:
    """Say what a recipe would do to a scan: steps, engines, grids, memory, time.

    Only headers are read, so a wrong parameter, a missing engine or a
    missing template shows within a second.
    """
    from mriprep.io.offline import staying_offline

    recipe = recipe_of(given)
    if len(sources) == 1 and given["series"] is None:
        from .misplaced import refuse_many

        refuse_many(sources[0])
    with staying_offline(given["offline"]):
        if recipe.session is not None:
            from .session import session_plan

            planned, title = session_plan(recipe, sources, given)
            labels = [t.name for t in planned.tasks]
        else:
            planned, title = _one_plan(recipe, _one(recipe, sources, given), given)
            labels = [s.name for s in planned.steps]
    about = planned.to_dict()
    if as_json:
        import json

        click.echo(json.dumps(about, indent=2))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in ("step", "parameters", "engine", "grid afterwards", "MB", "s"):
        numbers = column in ("MB", "s")
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for label, s in zip(labels, planned.steps, strict=True):
        parameters = ", ".join(f"{k}={v}" for k, v in s.parameters.items() if k != "engine")
        after = str(s.after) if s.after else "depends on the voxels"
        table.add_row(
            label,
            parameters,
            s.engine_version or "",
            after,
            f"{s.memory_mb:.0f}",
            f"{s.seconds:.1f}",
        )
    Console().print(table)
    for name in dict.fromkeys(s.template for s in planned.steps if s.template):
        click.echo(f"template: {name}")
    click.echo(
        f"device: {about['device']}; about {planned.seconds:.0f} s and"
        f" {planned.memory_mb / 1000:.1f} GB at most"
    )
    return 0


def _one_plan(recipe: Any, source: Path, given: dict[str, Any]) -> tuple[Any, str]:
    """The plan of a recipe that takes one contrast, and what it is a plan of."""
    from mriprep.core.age import age_of, parse_age, settle, with_age
    from mriprep.intake import header

    age = parse_age(given["age"], "--age") if given["age"] else None
    grid, contrast, facts = header(
        source, **{k: given[k] for k in ("series", "volume", "contrast")}
    )
    facts = with_age(facts, settle([age, age_of(facts)]))
    grids = {k: _grid_of(given[k][0]) for k in ("mask", "labels") if given[k]}
    planned = _plan_of(recipe.informed(facts, contrast), {"image": grid, **grids})
    return planned, f"{planned.recipe} on {source.name}: {grid}"


@click.command(context_settings=_HELP, short_help="List the presets, or print one.")
@click.argument("name", required=False)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of recipes, for editors.")
def recipes(name: str | None, schema: bool) -> None:
    """List the presets; with NAME, print its YAML, to be copied and changed.

    \b
      mriprep recipes adult-t1 > mine.yaml
      mriprep recipes --schema > mriprep.schema.json
    """  # noqa: D301
    # The package's own attribute of this name is the function `mriprep.recipe`.
    from mriprep.recipe import load, preset_text, presets
    from mriprep.recipe import schema as recipe_schema

    if schema:
        import json

        click.echo(json.dumps(recipe_schema(), indent=2))
        return
    if name:
        click.echo(preset_text(name), nl=False)
        return
    for preset in presets():
        found = load(preset)
        click.secho(preset, bold=True)
        click.echo(f"  {found.title}")
        click.echo(f"  {' > '.join(e.step.name for e in found.entries)}\n")


def _grid_of(path: Path) -> Grid:
    from mriprep.io.images import read_grid

    return read_grid(path)


def recipe_of(given: dict[str, Any]) -> Any:
    """The recipe that is asked for, with what is set in it and left out of it."""
    from mriprep.recipe import load, parse_settings

    settings = parse_settings(given["settings"])
    if given["template"]:
        settings["register.template"] = given["template"]
    skip = [name.strip() for several in given["skip"] for name in several.split(",")]
    return load(given["recipe_name"]).with_settings(settings).without([s for s in skip if s])


def _companion(path: Path | None, role: str) -> Volume | None:
    if path is None:
        return None
    from mriprep.io.images import read_image

    return read_image(path, role=role)


def _planned(recipe: Any, grids: dict[str, Grid], companions: dict[str, Volume | None]) -> Any:
    return _plan_of(
        recipe, {**grids, **{k: v.grid for k, v in companions.items() if v is not None}}
    )


def _plan_of(recipe: Any, grids: dict[str, Any]) -> Any:
    from mriprep.plan import make

    return make(recipe, grids)

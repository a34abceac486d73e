"""``fit``: a normaliser's state from a cohort."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mriprep.core import InputError, RecipeError
from mriprep.core.errors import nearest

from .telling import told

if TYPE_CHECKING:
    from mriprep.cases import CaseSource
    from mriprep.export.collect import Item
    from mriprep.fitting import Member

_FILE = click.Path(path_type=Path)


class _Kinds(click.Group):
    """A command a normaliser, its options made from what its fit declares."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from mriprep.fitting import kinds

        return list(kinds())

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        from mriprep.fitting import kinds

        return _command(name) if name in kinds() else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.list_commands(ctx):
            raise RecipeError(
                f"there is no normaliser '{args[0]}' to fit",
                hint=nearest(args[0], self.list_commands(ctx)),
            )
        return super().resolve_command(ctx, args)


@click.command(
    cls=_Kinds,
    context_settings={"help_option_names": ["-h", "--help"]},
    short_help="Fit a normaliser on a cohort.",
)
def fit() -> None:
    """Fit a normaliser on a cohort: what it finds is a small file, its state.

    \b
      mriprep fit nyul out/ --contrast T1w --split train --fold 0 --state nyul.json
      mriprep fit nyul a_T1w.nii.gz b_T1w.nii.gz --mask a_mask.nii.gz --mask b_mask.nii.gz --state nyul.json
      mriprep fit combat table.csv --contrast T1w --state combat.json
      mriprep nyul scan_T1w.nii.gz normalised.nii.gz --state nyul.json

    Fit on the training part alone: an export refuses a state that has seen validation or test.
    """  # noqa: D301


def _command(kind: str) -> click.Command:
    from mriprep import fitting

    from .step_commands import parameter_option

    known = fitting.parameters(kind)
    own_contrast = "contrast" in known
    options: list[click.Parameter] = [
        click.Argument(["sources"], type=_FILE, nargs=-1, required=True, metavar="IN..."),
        click.Option(["--state", "state_path"], type=_FILE, required=True, metavar="FILE.json",
                     help="The state to write."),
        click.Option(["--mask"], type=_FILE, multiple=True, help="A mask for each image, in their"
                     " order (where IN are images)."),
        click.Option(["--tissues"], type=_FILE, multiple=True, help="Labels for each image, in their"
                     " order: 1 CSF, 2 grey matter, 3 white matter."),
        click.Option(["--within"], type=click.Choice(["foreground", "whole"]), help="The region,"
                     " where there is no mask: what Otsu's threshold keeps (the default), or all. Of a"
                     " folder that `mriprep run` wrote, also in place of its masks."),
        click.Option(["--split"], help="Only the cases of this part: train, val or test of the"
                     " folder's splits.tsv, or of the table's column `split`."),
        click.Option(["--fold"], type=click.IntRange(min=0), default=0, show_default=True,
                     help="Of which fold, with --split and a splits.tsv."),
        click.Option(["--use-tissues"], is_flag=True, help="Take the labels of tissues that the step"
                     " `tissues` found (where IN is a folder that `mriprep run` wrote)."),
        click.Option(["--all", "every"], is_flag=True, help="Cases whose quality failed, too (where"
                     " IN is a folder that `mriprep run` wrote)."),
    ]  # fmt: skip
    if not own_contrast:
        options.append(
            click.Option(["--contrast", "only"], help="Which contrast, if there are several.")
        )
    options += [parameter_option(p) for p in known.values()]
    return click.Command(
        kind,
        callback=lambda **given: _fit(kind, **given),
        params=options,
        help=f"{fitting.title(kind)}\n\nIN: images; or a folder that `mriprep run` wrote; or a table"
        " or BIDS dataset, as `mriprep run` takes them (columns site, age and sex say more).",
        short_help=fitting.title(kind),
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _fit(kind: str, sources: tuple[Path, ...], state_path: Path, **given: Any) -> None:
    from mriprep import fitting
    from mriprep.run import listening

    from .step_commands import values_of

    how = values_of(given, fitting.parameters(kind))
    if state_path.suffix != ".json":
        raise InputError(
            f"a state cannot be written as '{state_path.name}'", hint="its name ends on .json"
        )
    contrast = given.get("only") or how.get("contrast")
    contrast = None if contrast == "auto" else contrast
    single = sources[0] if len(sources) == 1 and _holds_many(sources[0]) else None
    with listening() as said:
        if single is None:
            if given["split"]:
                raise InputError(
                    "--split was given, and IN are single images: they have no split",
                    hint="give the images of that part alone, or a folder that `mriprep run` wrote",
                )
            part = ""
            masks: Any = list(given["mask"]) or given["within"]
            state = fitting.fit(
                kind, list(sources), masks, tissues=list(given["tissues"]) or None, **how
            )
        else:
            if given["mask"] or given["tissues"]:
                raise InputError(
                    "--mask and --tissues go with single images",
                    hint="a table has a column `mask`; a folder that `mriprep run` wrote has masks",
                )
            members, part = _members(single, contrast, given)
            state = fitting.fit_members(kind, members, split=part, **how)
    told(said)
    state.write(state_path)
    about = f" ({part})" if part else ""
    click.echo(f"fitted {kind} on {len(state.cases)} images{about}", err=True)
    click.echo(f"wrote {state_path}", err=True)


def _holds_many(source: Path) -> bool:
    from mriprep.cases.table import TABLES

    return source.is_dir() or source.suffix.lower() in TABLES


def _members(
    source: Path, contrast: str | None, given: dict[str, Any]
) -> tuple[Iterator[Member], str]:
    """The members that a folder or a table holds, and the part of its split that they are."""
    split = given["split"]
    if source.is_dir() and next(source.rglob("*_desc-preproc_*.nii.gz"), None) is not None:
        return _of_outputs(source, contrast, given)
    from mriprep.cases import list_cases

    found = list_cases(source, wanted=[contrast] if contrast else [])
    if split:
        parts = sorted({c.split for c in found if c.split})
        found = [c for c in found if c.split == split]
        if not found:
            raise InputError(
                f"no case of '{source.name}' is of the part '{split}'",
                hint=nearest(split, parts) if parts else "it has no column `split`",
            )
    return _opened(found, contrast, given["within"]), split or ""


def _opened(
    sources: Sequence[CaseSource], contrast: str | None, within: str | None
) -> Iterator[Member]:
    from mriprep.cases import open_session
    from mriprep.fitting import Member

    for source in sources:
        case, companions = open_session(source)
        name = _which(list(case), contrast, source.name)
        mask: Any = companions.get(name, {}).get("mask", within)
        yield Member(source.name, case[name], mask, None, case.facts)


def _of_outputs(
    source: Path, contrast: str | None, given: dict[str, Any]
) -> tuple[Iterator[Member], str]:
    from mriprep.export import splits
    from mriprep.export.collect import collect

    labels = "tissues" if given["use_tissues"] else "none"
    contrasts = [contrast] if contrast else None
    items = collect(source, contrasts, labels=labels, passed_only=not given["every"])
    part = given["split"] or ""
    if part:
        wanted = set(splits.read(source).part(part, given["fold"]))
        items = [i for i in items if i.case in wanted]
        part = part if part == "test" else f"{part} fold {given['fold']}"
    if not items:
        raise InputError(
            f"no case of '{source.name}' is left to fit on",
            hint="check --split and --contrast; --all takes those whose quality failed",
        )
    return _read_items(items, contrast, given["within"]), part


def _read_items(
    items: Sequence[Item], contrast: str | None, within: str | None
) -> Iterator[Member]:
    from mriprep.fitting import Member
    from mriprep.intake import read

    for item in items:
        name = _which(list(item.images), contrast, item.case)
        image: Any = read(item.images[name])
        mask: Any = within if item.mask is None or within else read(item.mask, role="mask")
        labels: Any = None if item.labels is None else read(item.labels, role="labels")
        yield Member(item.case, image.replace(contrast=name), mask, labels, item.facts)


def _which(there: list[str], contrast: str | None, case: str) -> str:
    if contrast is None:
        if len(there) == 1:
            return there[0]
        raise InputError(
            f"{case} has several contrasts: {', '.join(there)}", hint="say which: --contrast T1w"
        )
    if contrast not in there:
        raise InputError(f"{case} has no {contrast}", hint=f"it has {', '.join(there)}")
    return contrast

"""A command from each step's declaration."""

from __future__ import annotations

import time
import typing
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, get_args, get_origin

import click

from mriprep.core import Case, Doubt, MriprepError, RecipeError, Role, Transform, Volume
from mriprep.core.errors import nearest
from mriprep.declare import Input, Parameter, Step, keeping

from . import deface_command
from .step_outputs import TRANSFORM_ENDINGS, check_outputs
from .telling import doubted, told

_FILE = click.Path(path_type=Path)
_MADE = {
    "transform": "Transform to write: .tfm, .txt (ITK's text) or .mat.",
    "slices": "Folder to write the slices and their table into.",
}


def command_of(step: Step) -> click.Command:
    """The command of a step: input and output paths, an option for all else."""
    main_input, *others = step.inputs
    params: list[click.Parameter] = [
        click.Argument(["input_path"], type=_FILE, metavar="IN"),
        click.Argument(["output_path"], type=_FILE, metavar="OUT"),
    ]
    params += [_input_option(i) for i in others]
    params += [parameter_option(p) for p in step.parameters.values()]
    if main_input.slot == "image":
        params.append(
            click.Option(["--volume"], type=int, help="Which volume of a 4D file, from 0.")
        )
        if "series" not in step.parameters:
            params.append(click.Option(["--series"], help="Which series, if IN is DICOM."))
    if step.each:
        params.append(
            click.Option(
                ["--role"],
                type=click.Choice(["auto", *(str(r) for r in Role)]),
                default="auto",
                show_default=True,
                help="What the voxels of IN mean; interpolation follows from it. auto: as they"
                " look, which is said.",
            )
        )
    if step.kind == "bias":
        params.append(click.Option(["--field"], type=_FILE, help="Write the bias field here too."))
    if step.makes == "tissues":
        params.append(
            click.Option(
                ["--probabilities"],
                type=_FILE,
                metavar="FOLDER",
                help="Write what each voxel holds here too: label-CSF_probseg.nii.gz, GM, WM.",
            )
        )
    if step.name == "deface":
        params += deface_command.options()
    return click.Command(
        step.name,
        callback=lambda **given: _run(step, **given),
        params=params,
        help=_help(step),
        short_help=step.title,
        epilog=_epilog(step),
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _help(step: Step) -> str:
    source = (
        "IN: a DICOM folder or zip."
        if step.inputs[0].slot == "source"
        else "IN: an image (.nii, .nii.gz, .mgz, .nrrd, .mha), or a DICOM folder or zip."
    )
    made = _MADE.get(step.makes, "Image to write (.nii.gz, .nii, .nrrd, .mha).")
    return f"{step.title}\n\n{step.description}\n\n\b\n{source}\nOUT: {made}"


def _epilog(step: Step) -> str:
    if not step.citations:
        return ""
    return "References: " + " ".join(f"{c.text} doi:{c.doi}" for c in step.citations)


def _input_option(wanted: Input) -> click.Option:
    names = ", ".join(("FILE", *wanted.words))
    return click.Option(
        [_flag(wanted.name), f"input_{wanted.name}"],
        metavar=f"[{names}]" if wanted.words else "FILE",
        required=not wanted.optional,
        help=wanted.doc,
    )


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def parameter_option(parameter: Parameter) -> click.Option:
    """The option of a parameter; :func:`values_of` reads what it was given."""
    default = None if parameter.required else parameter.default
    name = [_flag(parameter.name), f"parameter_{parameter.name}"]
    if isinstance(default, bool):
        on_off = f"{_flag(parameter.name)}/--no-{parameter.name.replace('_', '-')}"
        return click.Option(
            [on_off, f"parameter_{parameter.name}"],
            default=None,
            help=f"{parameter.doc} [default: {'yes' if default else 'no'}]",
        )
    choices = parameter.choices
    shown = _shown(default)
    return click.Option(
        name,
        type=click.Choice([str(c) for c in choices]) if choices else click.STRING,
        metavar=None if choices else _metavar(parameter),
        required=parameter.required,
        help=parameter.doc + (f" [default: {shown}]" if shown else ""),
    )


def _shown(default: Any) -> str:
    if default is None:
        return ""
    return " ".join(f"{v:g}" for v in default) if isinstance(default, tuple) else str(default)


def _metavar(parameter: Parameter) -> str:
    """What to give: kind of number, range, unit."""
    base, low, high = _asked(parameter)
    span = f" {low}..{high}" if low or high else ""
    return f"{base}{span}{f' {parameter.unit}' if parameter.unit else ''}"


def _asked(parameter: Parameter) -> tuple[str, str, str]:
    """Kind of number, least, most."""
    base, low, high = "VALUE", "", ""
    pending = [parameter.annotation]
    while pending:
        annotation = pending.pop()
        for constraint in getattr(annotation, "__metadata__", ()):
            low = next(
                (f"{v:g}" for k in ("ge", "gt") if (v := getattr(constraint, k, None)) is not None),
                low,
            )
            high = next(
                (f"{v:g}" for k in ("le", "lt") if (v := getattr(constraint, k, None)) is not None),
                high,
            )
        inner = get_args(annotation)
        if get_origin(annotation) is tuple:
            base = "'X X ...'" if base == "VALUE" else base + "|'X X ...'"
        elif inner and get_origin(annotation) is not typing.Literal:
            pending += reversed([a for a in inner if a is not type(None)])
        elif annotation in (int, float, str):
            base = {"int": "N", "float": "X", "str": "TEXT"}[annotation.__name__]
    return base, low, high


def values_of(given: Mapping[str, Any], known: Mapping[str, Parameter]) -> dict[str, Any]:
    """The parameters among what a command was given."""
    told = {name: given.get(f"parameter_{name}") for name in known}
    return {name: value_of(v, known[name]) for name, v in told.items() if v is not None}


def value_of(text: Any, parameter: Parameter) -> Any:
    """A value from the command line: numbers separated by spaces or commas are a tuple."""
    if not isinstance(text, str) or parameter.choices:
        return text
    parts = text.strip("[]() ").replace(",", " ").split()
    if len(parts) > 1 and all(_is_number(p) for p in parts):
        return tuple(float(p) if not p.lstrip("+-").isdigit() else int(p) for p in parts)
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _run(step: Step, input_path: Path, output_path: Path, **given: Any) -> None:
    """Read, do, write."""
    checked = _checked(step, values_of(given, step.parameters))
    inputs = [input_path, *(v for k, v in given.items() if k.startswith("input_") and v)]
    check_outputs(step, output_path, inputs, given)
    arguments: dict[str, Any] = {
        step.inputs[0].name: _main_input(step, input_path, {**given, "output_path": output_path})
    }
    for wanted in step.inputs[1:]:
        value = given.get(f"input_{wanted.name}")
        if value is not None:
            arguments[wanted.name] = _other_input(wanted, value, given)
    from mriprep.run import listening

    began = time.perf_counter()
    with listening() as said, keeping() as kept, _shown_at_work(step, checked, arguments):
        result = getattr(_module(step), step.name)(**{**arguments, **checked})
    seconds = time.perf_counter() - began
    told(said)
    whole = step.name == "deface" and deface_command.whole(input_path, output_path, given["volume"])
    if whole:
        written, result = deface_command.write_whole(input_path, output_path, kept["face"], checked)
    else:
        written = _write(step, result, output_path, checked)
    facts = {k: v for k, v in kept.items() if not isinstance(v, Volume)}
    for name, product in facts.items():
        click.echo(f"{name.replace('_', ' ')}: {_in_words(name, product)}", err=True)
    if given.get("field") is not None:
        from mriprep.api import write

        written.append(write(kept["bias_field"], given["field"]))
    if given.get("probabilities") is not None:
        written += _probabilities(kept, given["probabilities"])
    if step.name == "deface":
        written += deface_command.extras(arguments["image"], result, kept, given)
    from mriprep.run_record import step_record

    about = {"seconds": round(seconds, 3), "warnings": said, "facts": facts}
    record = step_record(step, checked, arguments, result, output_path, about)
    paths = [*written, record] if record and record not in written else written
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    click.echo(f"wrote {', '.join(str(p) for p in paths[:3])}{more}", err=True)
    if code := doubted([w for w in said if isinstance(w, Doubt)]):
        click.get_current_context().exit(code)


def _probabilities(kept: Mapping[str, Any], folder: Path) -> list[Path]:
    """Probabilities of tissues, a file each."""
    from mriprep.api import write

    found = {n.removeprefix("tissue_").upper(): v for n, v in kept.items() if isinstance(v, Volume)}
    return [write(v, folder / f"label-{name}_probseg.nii.gz") for name, v in found.items()]


def _shown_at_work(
    step: Step, parameters: Mapping[str, Any], arguments: Mapping[str, Any]
) -> AbstractContextManager[None]:
    from mriprep.engines._device import on_gpu
    from mriprep.plan import expected_seconds

    from .look import state_of
    from .progress import working

    image = arguments[step.inputs[0].name]
    if not isinstance(image, Volume):
        return working(step.name)
    # What is expected holds for a CPU.
    if parameters.get("device") in ("auto", "cuda") and on_gpu("auto"):
        return working(step.name)
    engine = step.engine(parameters)
    if step.kind and engine and not (parameters.get("weights") or state_of(step.kind, engine)[0]):
        return working(step.name)  # it will say what it lacks
    return working(step.name, expected_seconds(step, parameters, image.grid), engine)


def _checked(step: Step, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters; what is wrong with one is said of its option."""
    for name, value in parameters.items():
        try:
            step.validated(name, value)
        except RecipeError as error:
            said = error.message.removeprefix(f"{step.name}.{name} = ")
            if said != error.message:
                _, low, high = _asked(step.parameters[name])
                if low and high and "equal to" in said:  # a number beyond one of its limits
                    unit = f" {step.parameters[name].unit}".rstrip()
                    said = f"{value!r} is not accepted: it should be from {low} to {high}{unit}"
                error.message = f"{_flag(name)} {said}"
            raise
    try:
        return step.validate(parameters)
    except RecipeError as error:  # what has no effect beside another is an option, too
        for name in parameters:
            told = f"{step.name}.{name} = "
            if error.message.startswith(told):
                error.message = f"{_flag(name)} {error.message.removeprefix(told)}"
        raise


def _in_words(name: str, product: Any) -> str:
    if name == "fitted":
        split = f", {product.split}" if product.split else ""
        return f"on {len(product.cases)} images{split} (sha256 {product.sha256[:12]})"
    if isinstance(product, Mapping):
        if name == "brain":
            from mriprep.qc.words import brain

            return brain(product)
        return ", ".join(
            f"{k.replace('_', ' ')} {v}" for k, v in product.items() if not isinstance(v, list)
        )
    return str(product)


def _module(step: Step) -> Any:
    import importlib

    return importlib.import_module(f"mriprep.steps.{step.name}")


def _main_input(step: Step, path: Path, given: Mapping[str, Any]) -> Any:
    if step.inputs[0].slot == "source":
        return path
    role = given.get("role") or "image"
    volume = given.get("volume")
    if step.name == "deface" and deface_command.whole(path, given["output_path"], volume):
        volume = deface_command.looked_at(path)
    found = _image(path, "image" if role == "auto" else role, volume, given.get("series"))
    return _as_it_looks(found, path) if role == "auto" else found


def _as_it_looks(volume: Volume, path: Path) -> Volume:
    """The volume in the role that its voxels look like: labels interpolated as an image are lost."""
    from mriprep.io.inspect import looks_like

    role = looks_like(volume)
    if role is Role.IMAGE:
        return volume
    click.echo(f"note: {path.name} looks like {role}; taken so (--role image, if not)", err=True)
    return volume.replace(role=role)


def _image(path: Path, role: str, volume: int | None = None, series: str | None = None) -> Volume:
    from mriprep.intake import read

    found = read(path, role=role, volume=volume, series=series)
    return found[found.reference] if isinstance(found, Case) else found


def _other_input(wanted: Input, value: str, given: Mapping[str, Any]) -> Any:
    if value in wanted.words:
        return value
    path = Path(value)
    if wanted.slot == "transform" and path.suffix in TRANSFORM_ENDINGS:
        from mriprep.api import read_transform

        return read_transform(path)
    role = "mask" if wanted.slot == "face" else wanted.slot
    role = role if role in ("mask", "labels", "probability") else "image"
    try:
        return _image(path, role)
    except MriprepError as error:
        error.message = f"--{wanted.name}: {error.message}"
        if wanted.words and not path.exists():
            error.hint = f"{nearest(value, wanted.words)}, or a file"
        raise


def _write(step: Step, result: Any, path: Path, parameters: Mapping[str, Any]) -> list[Path]:
    from mriprep.api import write

    if isinstance(result, Case):
        return [write(result[result.reference], path)]
    if isinstance(result, Volume | Transform):
        return [write(result, path)]
    from mriprep.io.slices import write_slices

    return write_slices(result, path, stem=path.name or "slices", format=parameters.get("format"))

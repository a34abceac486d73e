"""From what a run left in a folder to a frozen recipe: one file that does the same to a new scan."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import records, templates
from .core import InputError
from .derivatives import STATES
from .frozen import write_frozen
from .io.given import expanded
from .io.hashes import checked
from .steps._states import read_state

#: A template of the user's is put into the file up to this size, bytes.
_LARGEST_TEMPLATE = 512 * 2**20
_SHOWN = 5


@dataclass(frozen=True)
class Frozen:
    """What goes into the file: what it says, and the files in it."""

    content: Mapping[str, Any]
    files: Mapping[str, bytes]


def freeze(out: str | Path, path: str | Path, *, files: Sequence[str | Path] = ()) -> Path:
    """Freeze what a run did into one file, which does exactly the same to a new scan.

    The file holds the recipe with every parameter, the fitted states and the
    user's own templates, the versions, and the SHA-256 of templates and
    weights that are not in it. The same outputs give the same bytes.

    Parameters
    ----------
    out : path
        The folder that a run wrote. All its cases must have been done alike.
    path : path
        The file to write, ``model.recipe``.
    files : sequence of path
        Templates of one's own that the run used (records know them by name
        and hash), or folders that they lie in.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If there are no records, cases differ (says which, and in what), or a
        template or state is not found, or is not the one that was used.
    """
    path = expanded(path)
    if path.suffix != ".recipe":
        raise InputError(
            f"a frozen recipe's name ends on .recipe, not '{path.name}'",
            hint=f"for instance {path.stem or 'model'}.recipe",
        )
    folder = expanded(out)
    frozen = gathered(recorded(folder), folder, files)
    return write_frozen(frozen.content, frozen.files, path)


def recorded(folder: Path) -> list[Mapping[str, Any]]:
    """The records of all images in a folder of derivatives.

    Raises
    ------
    InputError
        If there are none.
    """
    found = [f.content for f in records.every(folder)]
    if not found:
        raise InputError(
            f"there is no record of a run in '{folder}'",
            hint="give the folder that `mriprep run` wrote",
        )
    return found


def gathered(
    found: Sequence[Mapping[str, Any]], out: Path, files: Sequence[str | Path] = ()
) -> Frozen:
    """What records of cases that were done alike say, and the files that it takes."""
    recipe = _agreed({_case(r): _asked(r) for r in found})
    placed: list[dict[str, Any]] = []
    held: dict[str, bytes] = {}
    for number, step in enumerate(recipe["steps"]):
        ((name, parameters),) = step.items()
        if parameters.get("state"):
            value = _clean(parameters["state"])
            placed.append(
                {"step": number, "parameter": "state", "value": f"states/{number}/{value}"}
            )
            held |= _states(found, number, f"states/{number}/{value}", out)
        own = any(f"{number}.template" in r["recipe"]["files"] for r in found)
        if name == "register" and own:
            value, more = _own_template(parameters["template"], found, files)
            placed.append(
                {
                    "step": number,
                    "parameter": "template",
                    "value": f"templates/{number}/{value}",
                }
            )
            held |= {f"templates/{number}/{k}": v for k, v in more.items()}
        if parameters.get("weights"):
            raise InputError(
                f"the run used weights of your own ({parameters['weights']}), which are not frozen",
                hint="put them where MRIPREP_WEIGHTS says and run without --weights",
            )
    content = {
        "recipe": recipe,
        "placed": placed,
        "pins": _pins(found),
        "versions": _versions(found),
        "fitted": _fitted(found),
        "cases": len({r["case"] for r in found}),
    }
    return Frozen(content, held)


def _case(record: Mapping[str, Any]) -> str:
    return f"{record['case']} {record['contrast']}"


# -- the recipe -------------------------------------------------------------------------------


def _asked(record: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe of a record as it was before the case told what it left open."""
    recipe = record["recipe"]
    if "open" not in recipe:
        raise InputError(
            f"{_case(record)}: this record does not say what the recipe left to the case",
            hint="an earlier mriprep wrote it: do the run again with --force",
        )
    steps: list[dict[str, Any]] = json.loads(json.dumps(recipe["steps"]))
    for key, said in recipe["open"].items():
        number, _, parameter = key.partition(".")
        (parameters,) = steps[int(number)].values()
        parameters[parameter] = said
    about = {"name": recipe["name"], "title": recipe["title"], "steps": steps}
    return {**about, **({"session": recipe["session"]} if "session" in recipe else {})}


def _agreed(asked: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The one recipe of all cases.

    Raises
    ------
    InputError
        If they differ: names the cases of the rarer kinds, and in what they differ.
    """
    kinds: dict[str, list[str]] = {}
    for case, recipe in asked.items():
        kinds.setdefault(json.dumps(recipe, sort_keys=True), []).append(case)
    texts = sorted(kinds, key=lambda t: (-len(kinds[t]), kinds[t]))
    most: dict[str, Any] = dict(asked[kinds[texts[0]][0]])
    if len(texts) == 1:
        return most
    told = []
    for text in texts[1 : _SHOWN + 1]:
        cases = kinds[text]
        more = f" and {len(cases) - _SHOWN} more" if len(cases) > _SHOWN else ""
        told.append(
            f"{', '.join(cases[:_SHOWN])}{more} ({'; '.join(_differences(most, asked[cases[0]]))})"
        )
    raise InputError(
        f"the cases were not all done alike; {len(kinds[texts[0]])} agree, others differ: "
        + ", ".join(told),
        hint="do them again with one recipe, or freeze a folder that holds what was done alike",
    )


def _differences(one: Any, other: Any, where: str = "") -> Iterator[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in dict.fromkeys([*one, *other]):
            if key not in one or key not in other:
                yield f"{where}{key} is {'missing' if key in one else 'more'}"
            else:
                yield from _differences(one[key], other[key], f"{where}{key}.")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for a, b in zip(one, other, strict=True):
            yield from _differences(a, b, where.replace("steps.", ""))
    elif one != other:
        yield f"{where.rstrip('.')} is {_short(other)} instead of {_short(one)}"


def _short(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return " > ".join(next(iter(v)) for v in value)
    return str(value)


# -- files ------------------------------------------------------------------------------------


def _clean(name: str) -> str:
    """A name that can stand in any file system; ``{contrast}`` stays."""
    parts = [re.sub(r"[^A-Za-z0-9._+-]", "_", p) for p in name.split("{contrast}")]
    return "{contrast}".join(parts).lstrip("._+-")[-120:] or "file"


def _states(
    found: Iterable[Mapping[str, Any]], number: int, value: str, out: Path
) -> dict[str, bytes]:
    """The states that a step of the recipe used, by member; several where they go by contrast."""
    used: dict[str, tuple[str, str, str]] = {}
    for record in found:
        recipe = record["recipe"]["steps"]
        at = sum(bool(p.get("state")) for s in recipe[:number] for p in s.values())
        states = record.get("states", ())
        if at >= len(states):
            raise InputError(f"{_case(record)}: its record does not say which state was used")
        told = states[at]
        member = value.replace("{contrast}", record["contrast"])
        digest, kind, case = used.setdefault(member, (told["sha256"], told["kind"], _case(record)))
        if digest != told["sha256"]:
            raise InputError(
                f"{_case(record)} was normalised by another state of {kind} than {case}",
                hint="run all cases with one state",
            )
    return {member: _state(out, kind, digest) for member, (digest, kind, _) in used.items()}


def _state(out: Path, kind: str, digest: str) -> bytes:
    path = out / STATES / f"{kind}-{digest}.json"
    if not path.is_file():
        raise InputError(
            f"the state of {kind} that was used is not in '{path.parent}' ({path.name})",
            hint="a run leaves it there: do it again with --force",
        )
    if read_state(path).sha256 != digest:
        raise InputError(f"'{path}' has been changed since: its content has another SHA-256")
    return path.read_bytes()


def _own_template(
    spec: str, found: Sequence[Mapping[str, Any]], files: Sequence[str | Path]
) -> tuple[str, dict[str, bytes]]:
    """A template file of the user's: its name, and it (with its mask) by name."""
    used = {f["template_file"]: f for r in found for f in _templates(r)}
    told = used.get(spec)
    if told is None:
        raise InputError(
            f"the template '{spec}' is a folder of your own, from which cases choose: it is not frozen",
            hint="run with the template's file: --template FILE",
        )
    image = _found(spec, told.get("template_sha256"), files)
    if image.stat().st_size > _LARGEST_TEMPLATE:
        raise InputError(f"the template '{spec}' is too large to be put into the file")
    name = _named_alike(image, told["template_name"])
    held = {name: image.read_bytes()}
    if digest := told.get("template_mask_sha256"):
        mask = templates.mask_beside(image)
        if mask is None or checked(mask) != digest:
            raise InputError(
                f"the brain mask beside the template '{spec}' is not the one that was used"
            )
        if name != image.name:
            raise InputError(
                f"the template '{spec}' has a mask, and a name that cannot be kept",
                hint="call both by letters, digits, dots and dashes, and run again",
            )
        held[mask.name] = mask.read_bytes()
    return name, held


def _found(name: str, digest: str | None, files: Sequence[str | Path]) -> Path:
    """The user's file of a name and hash."""
    others = 0
    for given in map(Path, files):
        given = expanded(given)
        places = [given] if given.is_file() else sorted(given.rglob(name)) if given.is_dir() else []
        for path in places:
            if path.name == name and digest and checked(path) == digest:
                return path
            others += path.name == name
    raise InputError(
        f"the template '{name}' that was used is needed"
        + (", and the file of that name is another one (its SHA-256 differs)" if others else ""),
        hint=f"say where it is: --files FOLDER, or --files {name}",
    )


def _named_alike(image: Path, label: str) -> str:
    """A name from which the same label is made, wherever the file lies."""
    name = _clean(image.name)
    alone = Path(f"/0/{name}")
    if templates.label(alone) == label and name == image.name:
        return name
    ending = "".join(re.findall(r"(\.nii\.gz|\.[A-Za-z0-9]+)$", image.name))
    return f"{re.sub(r'[^A-Za-z0-9]', '', label)}{ending}"


# -- versions and hashes ----------------------------------------------------------------------


def _templates(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for step in record["steps"]:
        if used := step["facts"].get("template_used"):
            yield used


def _pins(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """SHA-256 of the templates and weights that were used, and the contrasts of the images."""
    pins: dict[str, Any] = {"contrasts": sorted({r["contrast"] for r in found})}
    for record in found:
        for used in _templates(record):
            if "template_sha256" in used:
                files = pins.setdefault("templates", {})
                for part in ("template", "template_mask"):
                    if f"{part}_sha256" in used:
                        file, digest = used[f"{part}_file"], used[f"{part}_sha256"]
                        _same(files, file, digest, record, "template")
        for step in record["steps"]:
            brain = step["facts"].get("brain")
            if isinstance(brain, Mapping) and brain.get("weights_files"):
                name = brain.get("weights", brain.get("engine"))
                files = pins.setdefault("weights", {}).setdefault(name, {})
                for file, digest in brain["weights_files"].items():
                    _same(files, file, digest, record, f"weights {name}")
    return pins


def _versions(found: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Versions of mriprep and of the engines that were used."""
    from .declare import get

    versions: dict[str, str] = {}
    for record in found:
        _same(versions, "mriprep", record["GeneratedBy"][0]["Version"], record, "version of")
        for step in record["steps"]:
            kind = get(step["step"]).kind
            engine, version = step["engine"], step["engine_version"]
            if kind and engine and version:
                _same(versions, f"{kind}/{engine}", version, record, "version of")
    return versions


def _same(
    known: dict[str, Any], name: str, value: str, record: Mapping[str, Any], what: str
) -> None:
    if known.setdefault(name, value) != value:
        raise InputError(
            f"{_case(record)} was done with another {what} {name} than other cases: {value},"
            f" and {known[name]} there",
            hint="do them again alike: the same command with --force",
        )


def _fitted(found: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The states that were used: kind and hash."""
    used = {(s["kind"], s["sha256"]) for r in found for s in r.get("states", ())}
    return [{"kind": kind, "sha256": digest} for kind, digest in sorted(used)]

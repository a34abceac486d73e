"""The file of a frozen recipe: a zip of JSON and what it refers to, read strictly.

``recipe.json`` says everything; fitted states and templates of the user's lie
beside it, under the names, sizes and hashes that it lists. Nothing in the file
is run or unpickled, and nothing is packed, so that it has the same bytes
wherever it is written.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import json
import re
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .core import InputError, MriprepWarning
from .io.strict_json import strict_json

#: Of the file's layout.
SCHEMA = 1
KIND = "mriprep frozen recipe"
MAIN = "recipe.json"
#: A file larger than this is something else, bytes.
LARGEST = 2 * 2**30
_LARGEST_MAIN = 16 * 2**20

_MEMBER = re.compile(r"(states|templates)/\d{1,3}/[A-Za-z0-9][A-Za-z0-9._+-]{0,150}")
_TYPES: dict[str, type] = {
    "schema": int, "kind": str, "recipe": dict, "placed": list, "pins": dict, "versions": dict,
    "fitted": list, "cases": int, "files": dict,
}  # fmt: skip


def write_frozen(content: Mapping[str, Any], files: Mapping[str, bytes], path: Path) -> Path:
    """Write a frozen recipe, whole or not at all: the same bytes for the same content."""
    from .io.atomic import atomic_path

    about = {
        "schema": SCHEMA,
        "kind": KIND,
        **content,
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in sorted(files.items())
        },
    }
    text = json.dumps(about, indent=1, ensure_ascii=False, allow_nan=False, sort_keys=True)
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in [(MAIN, text.encode()), *sorted(files.items())]:
            # No date and no compression, whose result depends on zlib's version.
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, data, zipfile.ZIP_STORED)
    return path


def is_frozen(path: Path) -> bool:
    """Whether a file is a zip, as frozen recipes are; nothing is said of what is in it."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError:
        return False


def read_frozen(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What a frozen recipe says, and the files in it.

    Raises
    ------
    InputError
        If it is not what :func:`write_frozen` writes, to the last byte.
    """
    from .io.given import read_bytes

    try:
        if path.stat().st_size > LARGEST:
            raise _unusable(path, "it is too large")
        data = read_bytes(path, LARGEST)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            names = [m.filename for m in members]
            if len(set(names)) < len(names) or MAIN not in names:
                raise _unusable(path, f"it has no {MAIN}, or a file twice")
            for member in members:
                if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 0x1:
                    raise _unusable(path, "it holds packed or encrypted files")
                if member.filename != MAIN and not _MEMBER.fullmatch(member.filename):
                    raise _unusable(path, "it holds a file of a name that is not accepted")
                if member.file_size > len(data) or member.file_size != member.compress_size:
                    raise _unusable(path, "a file in it is longer than the whole")
            if archive.getinfo(MAIN).file_size > _LARGEST_MAIN:
                raise _unusable(path, f"{MAIN} is too large")
            content = _main(archive.read(MAIN), path)
            files = {n: archive.read(n) for n in names if n != MAIN}
    except OSError as error:
        raise InputError(
            f"the frozen recipe '{path}' cannot be read: {error.strerror or error}"
        ) from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, RuntimeError):
        raise _unusable(path, "it is damaged") from None
    listed = {
        n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in files.items()
    }
    if listed != content["files"]:
        raise _unusable(path, "the files in it are not those that it lists")
    return content, files


def _main(data: bytes, path: Path) -> dict[str, Any]:
    content = strict_json(data, lambda why: _unusable(path, why), MAIN)
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise _unusable(path, "it is something else")
    if content.get("schema") != SCHEMA or isinstance(content["schema"], bool):
        raise InputError(
            f"{path.name}: the frozen recipe has layout {content.get('schema')!r}, and this"
            f" mriprep reads {SCHEMA}",
            hint="it comes from another version of mriprep: install that one, or freeze it again",
        )
    if odd := sorted(set(content) ^ set(_TYPES)):
        raise _unusable(path, f"'{odd[0]}' is {'unknown' if odd[0] in content else 'missing'}")
    for key, kind in _TYPES.items():
        if not isinstance(content[key], kind) or isinstance(content[key], bool):
            raise _unusable(path, f"'{key}' is of another type")
    _check_inside(content, path)
    return content


def _check_inside(content: Mapping[str, Any], path: Path) -> None:
    steps = content["recipe"].get("steps")
    for place in content["placed"]:
        if not isinstance(place, dict) or set(place) != {"step", "parameter", "value"}:
            raise _unusable(path, "'placed' is of another form")
        number, name, value = place["step"], place["parameter"], place["value"]
        in_range = isinstance(number, int) and isinstance(steps, list) and 0 <= number < len(steps)
        if not in_range or name not in ("state", "template") or not isinstance(value, str):
            raise _unusable(path, "'placed' names what is not there")
        if not _MEMBER.fullmatch(value.replace("{contrast}", "x")):
            raise _unusable(path, "'placed' names a file that is not accepted")
        if not isinstance(steps[number], dict) or not all(
            isinstance(p, dict) for p in steps[number].values()
        ):
            raise _unusable(path, "its steps are of another form")
    check_pins(content["pins"], lambda why: _unusable(path, why))
    texts = [*content["versions"].values()]
    if not all(isinstance(v, str) for v in texts) or "mriprep" not in content["versions"]:
        raise _unusable(path, "'versions' are of another form")


def check_pins(pins: Any, refuse: Callable[[str], Exception]) -> None:
    """Check the form of pins: templates by file, weights by name and file, contrasts by name."""
    if not isinstance(pins, dict) or set(pins) - {"templates", "weights", "contrasts"}:
        raise refuse("'pins' are of another form")
    contrasts = pins.get("contrasts", [])
    if not isinstance(contrasts, list) or not all(isinstance(c, str) for c in contrasts):
        raise refuse("'pins' are of another form")
    templates, weights = pins.get("templates", {}), pins.get("weights", {})
    for part in (templates, weights, *(weights.values() if isinstance(weights, dict) else ())):
        if not isinstance(part, dict):
            raise refuse("'pins' are of another form")
    digests = [*templates.values(), *(d for files in weights.values() for d in files.values())]
    if not all(isinstance(d, str) and re.fullmatch(r"[0-9a-f]{64}", d) for d in digests):
        raise refuse("a pin is no SHA-256")


def thawed(path: Path, *, strict: bool = False) -> dict[str, Any]:
    """A frozen recipe as the mapping that a recipe is made of; the files in it put where they can be read.

    Raises
    ------
    InputError
        If the file is not as it was written, or, if `strict`, other versions are
        installed than it was frozen with.

    Warns
    -----
    MriprepWarning
        If other versions are installed.
    """
    content, files = read_frozen(path)
    differing = other_versions(content["versions"])
    if differing:
        told = "; ".join(
            f"{name} {was}, here {now or 'not installed'}" for name, was, now in differing
        )
        message = f"{path.name} was frozen with other versions: {told}"
        if strict:
            raise InputError(message, hint="install those versions; strict=False takes these")
        warnings.warn(f"{message}: voxels may differ", MriprepWarning, stacklevel=3)
    recipe: dict[str, Any] = json.loads(json.dumps(content["recipe"]))
    folder = _put(files) if files else None
    for place in content["placed"]:
        (parameters,) = recipe["steps"][place["step"]].values()
        parameters[place["parameter"]] = f"{folder}/{place['value']}"
    if content["pins"]:
        recipe["pins"] = content["pins"]
    return recipe


def other_versions(versions: Mapping[str, str]) -> list[tuple[str, str, str | None]]:
    """What is installed in another version: name, version when frozen, version here."""
    from .core import RecipeError
    from .engines import describe

    found: list[tuple[str, str, str | None]] = []
    for name, was in versions.items():
        kind, _, engine = name.partition("/")
        try:
            now = describe(kind, engine).version if engine else version(name)
        except (RecipeError, ImportError):
            now = None
        if now != was:
            found.append((name, was, now))
    return found


def _put(files: Mapping[str, bytes]) -> Path:
    """The files in a folder named after their content, in the user's cache; another if that is closed."""
    from .io.given import cache

    digest = hashlib.sha256()
    for name, data in sorted(files.items()):
        digest.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
    try:
        return _into(cache() / "frozen" / digest.hexdigest()[:32], files)
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="mriprep-frozen-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return _into(folder, files)


def _into(folder: Path, files: Mapping[str, bytes]) -> Path:
    from .core import OutputError
    from .io.atomic import atomic_path

    for name, data in files.items():
        path = folder / name
        # Compared, and not taken on trust: anybody may have written there since.
        if path.is_file() and path.read_bytes() == data:
            continue
        try:
            with atomic_path(path) as temporary:
                temporary.write_bytes(data)
        except OutputError as error:
            raise OSError(error.message) from None
    return folder


def _unusable(path: Path, why: str) -> InputError:
    return InputError(
        f"'{path.name}' is no frozen recipe: {why}",
        hint="make one: mriprep freeze OUT model.recipe",
    )

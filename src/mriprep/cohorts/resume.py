"""Whether a case is done already: what its outputs depend on, against what is there now."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mriprep.cases import CaseSource, ImageSource
from mriprep.io.strict_json import load_json
from mriprep.recipe import Recipe

from .job import Job, Options

#: Where, below the outputs, it is noted which cases are done.
DONE = Path("runs", "done")

_TEMPORARY = re.compile(r"\.part-[0-9a-f]{12,20}(\.|$)")


def key_of(recipe: Recipe, options: Options) -> str:
    """Hash of what outputs depend on beside their inputs: recipe, options, templates, versions."""
    from importlib.metadata import version

    from mriprep import engines
    from mriprep.io.hashes import file_hash
    from mriprep.record import public

    versions = {"mriprep": version("mriprep")}
    files: dict[str, str] = {}
    entries = [(entry.step.name, entry) for entry in recipe.entries]
    if (part := recipe.session) is not None:
        entries += [(f"session.{e.step.name}", e) for e in (part.register, *part.estimate_on)]
    for where, entry in entries:
        name = entry.step.engine(entry.parameters)
        if entry.step.kind and name:
            versions[where] = engines.describe(entry.step.kind, name).version or ""
        for parameter, value in entry.parameters.items():
            if parameter == "state":
                files |= {f"{where}.{p.name}": file_hash(p) for p in _states(value)}
            elif isinstance(value, str) and os.sep in value and Path(value).is_file():
                files[f"{where}.{parameter}"] = file_hash(Path(value))
    about = {
        "recipe": recipe.to_dict(),
        "options": {k: v for k, v in vars(options).items() if k != "offline"},
        "versions": versions,
        "files": files,
    }
    return _digest(public(about))  # where a template lies does not matter, what is in it does


def _states(path: str) -> list[Path]:
    """The files of a fitted state; of one whose name goes by the contrast, all that there are."""
    before, by_contrast, after = Path(path).name.partition("{contrast}")
    if not by_contrast:
        return [Path(path)] if path and Path(path).is_file() else []
    folder = Path(path).parent
    names = (p.name for p in folder.iterdir()) if folder.is_dir() else ()
    return [folder / n for n in sorted(names) if n.startswith(before) and n.endswith(after)]


def place(job: Job, case: str) -> Path:
    """Where it is noted that a case is done."""
    contrast = f"_{job.options.contrast}" if job.options.contrast else ""
    return Path(job.output) / DONE / f"{case}{contrast}.json"


def quick(source: CaseSource) -> str:
    """Fingerprint of a case's inputs from the file system alone: paths, sizes, times of change.

    Times are compared for being the same, never for which is later: clocks
    jump, and those of a network's disks differ. That of the entry is there as
    well, which copying with times kept does not bring back.

    Raises
    ------
    OSError
        If a file is gone.
    """
    seen = []
    for image, path in _files(source):
        about = path.stat()
        seen.append(
            [image.contrast, str(path), about.st_size, about.st_mtime_ns, about.st_ctime_ns]
        )
    return _digest([_told(source), seen])


def thorough(source: CaseSource) -> str:
    """Fingerprint of a case's inputs from their content; their folders do not matter."""
    from mriprep.io.hashes import file_hash

    seen = [[i.contrast, p.name, file_hash(p)] for i, p in _files(source)]
    return _digest([_told(source), seen])


def noted(job: Job, source: CaseSource) -> Mapping[str, Any] | None:
    """The note that a case is done by the same recipe, and its outputs are there; else None."""
    try:
        note: Mapping[str, Any] = load_json(place(job, source.name))
        if note["key"] != job.key:
            return None
        for name, size in note["outputs"].items():
            if (Path(job.output) / name).stat().st_size != size and size is not None:
                return None
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return note


def is_done(job: Job, source: CaseSource, *, content: bool) -> Mapping[str, Any] | None:
    """The note of a case that need not be done again, else None.

    Parameters
    ----------
    job : Job
        What is to be done.
    source : CaseSource
        The case.
    content : bool
        Whether to read the inputs where the file system says that they may
        have changed.
    """
    note = noted(job, source)
    if note is None:
        return None
    try:
        if note.get("quick") == quick(source):
            return note
        if content and note.get("content") == thorough(source):
            return note
    except OSError:  # an input that cannot be read is told by doing the case
        return None
    return None


def note_done(
    job: Job,
    source: CaseSource,
    before: str,
    outputs: Iterable[Path],
    about: Mapping[str, Any],
    pages: Iterable[Path] = (),
) -> None:
    """Note that a case is done; `before` is the quick fingerprint from before it was read.

    Of pages, which are told later where their image stands in its cohort, the
    size does not matter.
    """
    from mriprep.io.atomic import write_json

    out = Path(job.output)
    same = before == quick(
        source
    )  # else the inputs were changed meanwhile: of which is the output?
    note = {
        "case": source.name,
        "run": job.run,
        "key": job.key,
        "quick": before,
        "content": thorough(source) if same else None,
        "outputs": {
            **{p.relative_to(out).as_posix(): p.stat().st_size for p in outputs},
            **{p.relative_to(out).as_posix(): None for p in pages},
        },
        **about,
    }
    write_json(note, place(job, source.name))


def forget(job: Job, source: CaseSource) -> None:
    """Take back that a case is done, before it is done again."""
    place(job, source.name).unlink(missing_ok=True)


def sweep(job: Job, source: CaseSource) -> None:
    """Remove what a killed run left half-written of a case; nothing of it has a final name."""
    out = Path(job.output)
    # Of sub-1, neither sub-10 nor a session of its own: these may be under way.
    mine = re.compile(rf"\.{source.name}(?![A-Za-z0-9])" + ("" if source.session else "(?!_ses-)"))
    here = [*out.glob(f".{source.name}*"), *(out / DONE).glob(f".{source.name}*")]
    for path in [*here, *(out / source.name.split("_")[0]).rglob(".*")]:
        if _TEMPORARY.search(path.name) and mine.match(path.name):
            path.unlink(missing_ok=True)
        elif path.name.startswith(".slices-") and path.is_dir() and _whose(path, source):
            shutil.rmtree(path, ignore_errors=True)


def _whose(folder: Path, source: CaseSource) -> bool:
    """Whether a folder within a subject's is of this session, and not of another one."""
    sessions = [p for p in folder.parts if p.startswith("ses-")]
    return sessions[-1:] == ([f"ses-{source.session}"] if source.session else [])


def _files(source: CaseSource) -> Iterator[tuple[ImageSource, Path]]:
    """All files of a case, in a fixed order, with the sidecars that tell facts."""
    for image in source.images:
        path = Path(image.path)
        if path.is_dir():
            names = image.files or tuple(
                sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file())
            )
            for name in names:
                yield image, path / name
            continue
        yield image, path
        sidecar = path.with_name(re.sub(r"\.(nii\.gz|[A-Za-z0-9]+)$", "", path.name) + ".json")
        if sidecar != path and sidecar.is_file():
            yield image, sidecar
        for detached in (".raw", ".zraw", ".img", ".raw.gz"):  # of .mhd, .nhdr and .hdr
            if path.suffix in (".mhd", ".nhdr", ".hdr"):
                data = path.with_suffix(detached)
                if data.is_file():
                    yield image, data


def _told(source: CaseSource) -> list[Any]:
    """What of a case, beside its files, its outputs depend on."""
    images = [[i.contrast, i.series, i.volume, i.role, Path(i.path).name] for i in source.images]
    about = [source.age, source.sex, source.site, source.label, source.split, dict(source.facts)]
    return [source.name, *about, _age_in_tables(source), images]


def _age_in_tables(source: CaseSource) -> float | None:
    """The age that a case's dataset gives in its tables, where the case itself has none."""
    from mriprep.io.ages import from_tables
    from mriprep.run import listening

    if source.age or not source.images:
        return None
    with listening():  # said again when the case is read
        found = from_tables(Path(source.images[0].path), source.name)
    return None if found is None else found.years


def _digest(data: Any) -> str:
    text = json.dumps(data, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()

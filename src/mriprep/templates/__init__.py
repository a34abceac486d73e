"""Which template a scan goes to, by path, by name or by age; and where its files come from."""

from __future__ import annotations

import re
from pathlib import Path

from mriprep.core import InputError
from mriprep.core.age import Age, parse_age
from mriprep.io.given import expanded
from mriprep.io.offline import is_offline, staying_offline

from .catalogue import load, own_file, read_own
from .choose import Choice, cohort_named, taken, within
from .choose import choose as choose_by_age
from .fetch import (
    Template,
    fetch_into_folder,
    locate,
    mask_beside,
    obtain,
    templateflow_home,
)

__all__ = [
    "BUNDLED",
    "Choice",
    "Template",
    "asks",
    "find",
    "is_offline",
    "label",
    "locate",
    "mask_beside",
    "obtain",
    "pick",
    "staying_offline",
    "templateflow_home",
]

#: Names that mean the MNI152 brain in nilearn's wheel, which needs no network.
BUNDLED = ("mni152", "MNI152NLin2009aSym")
#: The name that means: by age, among all that are known.
AUTO = "auto"

_IMAGE_ENDINGS = (".nii", ".nii.gz", ".mgz", ".mgh", ".nrrd", ".nhdr", ".mha", ".mhd")
_FLOW_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(\+[a-z0-9]+)?(:(cohort|res)-[A-Za-z0-9]+)*")


def find(
    spec: str | Path,
    *,
    contrast: str | None = None,
    age: Age | float | str | None = None,
    offline: bool = False,
) -> Template:
    """Find a template by a file's path, by name or by age.

    Parameters
    ----------
    spec : str or Path
        A path; ``"mni152"`` (a brain without skull, shipped with nilearn);
        ``"auto"``, which chooses by age; ``"NIHPD"``, the same among the
        infant and pediatric templates; a name of the catalogue or of
        TemplateFlow, with resolution and cohort if wanted
        (``"MNI152NLin2009cAsym"``, ``"MNIPediatricAsym:cohort-3:res-1"``);
        or a folder of one's own with a ``templates.yaml``. The rule by which
        ages choose stands in :mod:`mriprep.templates.choose`.
    contrast : str, optional
        The scan's: the template's image of that contrast is taken where
        there is one. T1w by default.
    age : Age, float (years) or str, optional
        The child's; ``"adult"`` for an adult of unknown age.
    offline : bool
        Never try the network; also set by the environment variable
        ``MRIPREP_OFFLINE=1``.

    Raises
    ------
    InputError
        If there is no such file, TemplateFlow cannot provide it (says which
        file is wanted and where to put it), or the age is needed and not
        known.
    """
    path = expanded(spec)
    if path.is_file() and own_file(path) is None:
        return Template(label(path), path.resolve(), mask_beside(path))
    offline = offline or is_offline()
    choice = pick(spec, contrast=contrast, age=age)
    _, entities = _split(str(spec))
    entities.pop("cohort", None)
    if choice is not None:
        return obtain(choice, offline=offline, entities=entities)
    name, entities = _split(str(spec))
    wanted = contrast or "T1w"
    image = fetch_into_folder(name, entities, wanted, offline=offline)
    cohort = f"+{entities['cohort']}" if "cohort" in entities else ""
    return Template(
        name.split("+")[0] + cohort,
        image,
        mask_beside(image),
        f"see the LICENSE file of tpl-{name}",
        contrast=wanted,
    )


def pick(
    spec: str | Path, *, contrast: str | None = None, age: Age | float | str | None = None
) -> Choice | None:
    """What :func:`find` would take of the catalogue; no file is looked for.

    None for a name of TemplateFlow that the catalogue does not know.

    Raises
    ------
    InputError
        If it is no template, or the age is needed and not known.
    """
    known = parse_age(age) if isinstance(age, int | float | str) else age
    text = str(spec)
    if own_file(text) is not None:
        return within(read_own(text), known, contrast, load())
    if expanded(text).is_dir():
        read_own(text)  # says what is missing in it
    if text in BUNDLED:  # nothing that is wrong with a folder of one's own matters to it
        shipped = load(())
        (entry,) = shipped.named(BUNDLED[0])
        return taken(entry, entry.cohorts[0], contrast, shipped)
    everything = load()
    if text.casefold() == AUTO:
        if known is None:
            return within(tuple(everything), None, contrast, everything)
        return choose_by_age(known, contrast, everything)
    if text.lower().endswith(_IMAGE_ENDINGS) or "/" in text or "\\" in text:
        raise InputError(
            f"the template '{text}' does not exist", hint="give the path of an image, or a name"
        )
    if not _FLOW_NAME.fullmatch(text):
        raise InputError(
            f"'{text}' is not a template",
            hint="give a file, 'auto' (by age), 'mni152', or a TemplateFlow name such as"
            " MNI152NLin2009cAsym or MNIPediatricAsym:cohort-3; `mriprep templates list` shows more",
        )
    name, entities = _split(text)
    entries = everything.named(name)
    if not entries:
        return None
    if "cohort" in entities:
        if len(entries) > 1:
            names = " or ".join(f"{e.name}:cohort-{entities['cohort']}" for e in entries)
            raise InputError(f"'{name}' is several templates", hint=f"say {names}")
        cohort = cohort_named(entries[0], entities["cohort"])
        return taken(entries[0], cohort, contrast, everything)
    return within(entries, known, contrast, everything)


def asks(spec: str | Path) -> frozenset[str]:
    """What of a scan a template depends on: ``age``, ``contrast``, both or neither."""
    text = str(spec)
    path = expanded(text)
    if (path.is_file() and own_file(path) is None) or text in BUNDLED:
        return frozenset()
    several = ["age", "contrast"]
    if text.casefold() == AUTO or own_file(path) is not None:
        return frozenset(several)
    name, entities = _split(text)
    entries = load().named(name)
    if "cohort" not in entities and (len(entries) > 1 or any(len(e.cohorts) > 1 for e in entries)):
        return frozenset(several)
    return frozenset(["contrast"])


def _split(text: str) -> tuple[str, dict[str, str]]:
    """``"Ours:cohort-3:res-1"`` as its name and entities."""
    name, *entities = text.split(":")
    return name, dict(e.split("-", 1) for e in entities if "-" in e)


def label(path: Path) -> str:
    """The label that a template of one's own gets, from its file's name."""
    match = re.match(r"tpl-([A-Za-z0-9]+)(?:.*_cohort-([A-Za-z0-9]+))?", path.name)
    if match:
        return match[1] + (f"+{match[2]}" if match[2] else "")
    stem = path.name.split(".")[0]
    # "head.nii.gz" in a folder "mni152-2009" is better named after its folder too.
    generic = {"head", "brain", "t1", "t1w", "t2", "template"}
    if stem.lower() in generic and path.resolve().parent.name:
        stem = f"{path.resolve().parent.name}{stem}"
    return re.sub(r"[^A-Za-z0-9]", "", stem) or "template"

"""Templates' files: where they are on this machine, and TemplateFlow's client, which fetches them."""

from __future__ import annotations

import importlib.util
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mriprep.core import InputError, MriprepWarning
from mriprep.io.given import NOWHERE, expanded, home
from mriprep.io.hashes import checked

from .catalogue import VARIABLE
from .choose import Choice

#: What TemplateFlow's files end on where a contrast has another name there.
_SUFFIXES = {"PDw": ("PD", "PDw")}


@dataclass(frozen=True)
class Template:
    """A template's files and name.

    Parameters
    ----------
    name : str
        The space's label in file names (BIDS ``space-``).
    image : Path
        The image.
    mask : Path or None
        Its brain mask, where there is one.
    licence : str
        Its terms of use, where known.
    citation : str
        The paper behind it, where known.
    contrast : str
        The image's, where known.
    why : str
        Why it was taken, where it was chosen.
    """

    name: str
    image: Path
    mask: Path | None = None
    licence: str = ""
    citation: str = ""
    contrast: str = ""
    why: str = ""

    def facts(self) -> dict[str, str]:
        """What a record says of it: no folders, nothing that is not known."""
        told = {
            "template_name": self.name,
            "template_file": self.image.name,
            "template_sha256": checked(self.image),
            "template_mask_file": self.mask.name if self.mask else "",
            "template_mask_sha256": checked(self.mask) if self.mask else "",
            "template_contrast": self.contrast,
            "template_chosen": self.why,
            "template_licence": self.licence or "not known: a file of your own",
            "template_citation": self.citation,
        }
        return {k: v for k, v in told.items() if v}


def templateflow_home() -> Path:
    """The folder that TemplateFlow keeps templates in (``TEMPLATEFLOW_HOME``)."""
    if named := os.environ.get("TEMPLATEFLOW_HOME"):
        return expanded(named)
    return (home() or NOWHERE) / ".cache" / "templateflow"


def locate(choice: Choice, entities: Mapping[str, str] | None = None) -> Template | None:
    """A template's files, if they are on this machine; nothing is fetched."""
    entry, cohort = choice.entry, choice.cohort
    image: Path | None
    if entry.source == "files":
        image, mask = cohort.files[choice.contrast], cohort.mask
        if not image.is_file() or (mask is not None and not mask.is_file()):
            return None
    elif entry.source == "nilearn":
        image, mask = _in_nilearn(), None
    else:
        wanted = {**({"cohort": cohort.name} if cohort.name else {}), **(entities or {})}
        image = in_folder(entry.name, wanted, choice.contrast)
        mask = mask_beside(image) if image else None
    if image is None:
        return None
    name = "MNI152NLin2009aSym" if entry.source == "nilearn" else choice.name
    return Template(name, image, mask, entry.licence, entry.citation, choice.contrast, choice.why)


def obtain(choice: Choice, *, offline: bool, entities: Mapping[str, str] | None = None) -> Template:
    """A template's files, fetched if need be.

    Raises
    ------
    InputError
        If they are not to be had; says which file is wanted and where to put it.
    """
    found = locate(choice, entities)
    if found is not None:
        return found
    entry, cohort = choice.entry, choice.cohort
    if entry.source == "files":
        gone = [f for f in (cohort.files[choice.contrast], cohort.mask) if f and not f.is_file()]
        raise InputError(
            f"the template '{choice.spec}' has no file {gone[0].name}",
            hint=f"it is named in {entry.where}: put it at {gone[0]}",
        )
    if entry.source == "nilearn":
        raise _no_nilearn()
    wanted = {**({"cohort": cohort.name} if cohort.name else {}), **(entities or {})}
    fetch_into_folder(entry.name, wanted, choice.contrast, offline=offline)
    found = locate(choice, entities)
    assert found is not None
    return found


def fetch_into_folder(
    name: str, wanted: Mapping[str, str], contrast: str, *, offline: bool
) -> Path:
    """An image of TemplateFlow, fetched if it is not there.

    Parameters
    ----------
    name : str
        The template.
    wanted : mapping
        ``cohort`` and ``res``, where they matter.
    contrast : str
        ``T1w``, ``T2w`` or ``PDw``.
    offline : bool
        Never try the network.

    Raises
    ------
    InputError
        If it cannot be had; says which file is wanted and where to put it.
    """
    found = in_folder(name, wanted, contrast)
    why = "the network is switched off"
    if found is None and not offline:
        why = _fetch(name, wanted, contrast)
        why = why and f"TemplateFlow could not fetch it ({why})"
        found = in_folder(name, wanted, contrast)
    if found is None:
        text = ":".join([name, *(f"{k}-{v}" for k, v in wanted.items())])
        image, mask = wanted_files(name, wanted, contrast)
        option = "" if contrast == "T1w" else f" --contrast {contrast}"
        raise InputError(
            f"the template '{text}' ({contrast}) is not on this machine"
            + (f", and {why}" if why else ""),
            hint=f"put {image.name} (and {mask.name}) into {image.parent}; `mriprep templates"
            f" fetch {text}{option}` does so on a machine with a network; or name a folder of your own"
            f" in {VARIABLE}, or give a template's path, or 'mni152', which needs no network",
        )
    return found


def wanted_files(name: str, wanted: Mapping[str, str], contrast: str) -> tuple[Path, Path]:
    """Where TemplateFlow keeps an image and its brain mask."""
    folder = templateflow_home() / f"tpl-{name}"
    cohort = f"_cohort-{wanted['cohort']}" if "cohort" in wanted else ""
    if cohort:
        folder /= cohort[1:]
    # The MNI152 have two digits there, those with cohorts one.
    number = wanted.get("res", "1")
    stem = f"tpl-{name}{cohort}_res-{number if cohort else number.zfill(2)}"
    suffix = _SUFFIXES.get(contrast, (contrast,))[0]
    return folder / f"{stem}_{suffix}.nii.gz", folder / f"{stem}_desc-brain_mask.nii.gz"


def in_folder(name: str, wanted: Mapping[str, str], contrast: str) -> Path | None:
    """The template's whole-head image in TemplateFlow's folder: the asked resolution, else 1."""
    folder = templateflow_home() / f"tpl-{name}"
    if not folder.is_dir():
        return None
    files = [
        f
        for suffix in _SUFFIXES.get(contrast, (contrast,))
        for f in sorted(folder.rglob(f"*_{suffix}.nii.gz"))
        if "_desc-" not in f.name and f.stat().st_size  # the client lays out empty files
    ]
    for entity, value in wanted.items():
        number = value.lstrip("0") or "0"
        files = [f for f in files if re.search(rf"_{entity}-0*{re.escape(number)}_", f.name)]
    finest = [f for f in files if re.search(r"_res-0*1_", f.name)]
    return next(iter(finest or files), None)


def mask_beside(path: Path) -> Path | None:
    """The brain mask that TemplateFlow's naming puts beside an image."""
    match = re.match(r"(.+)_(T1w|T2w|PDw|PD)(\.nii(?:\.gz)?)$", path.name)
    if not match:
        return None
    mask = path.with_name(f"{match[1]}_desc-brain_mask{match[3]}")
    return mask if mask.is_file() and mask.stat().st_size else None


def _fetch(name: str, wanted: Mapping[str, str], contrast: str) -> str:
    """Let TemplateFlow's client fetch an image and its mask; why it could not, or nothing."""
    if NOWHERE in templateflow_home().parents:
        return "there is no home folder to keep it in: TEMPLATEFLOW_HOME names another"
    try:
        from templateflow import api
    except ImportError:
        return "its client is not installed: pip install templateflow"
    query: dict[str, str | int] = {
        "resolution" if k == "res" else k: int(v) if v.isdigit() else v for k, v in wanted.items()
    }
    query.setdefault("resolution", 1)
    suffix = _SUFFIXES.get(contrast, (contrast,))[0]
    try:
        if not api.get(name, suffix=suffix, desc=None, extension=".nii.gz", **query):
            return "it has no such image"
    except Exception as error:  # the client lets every failure of its transports through
        said = str(error).strip()  # a line or nothing: the rest is the library talking to itself
        return type(error).__name__ + (f", {said}" if said and len(said) < 80 else "")
    try:
        api.get(name, suffix="mask", desc="brain", extension=".nii.gz", **query)
    except Exception as error:
        warnings.warn(
            f"TemplateFlow could not fetch the brain mask of '{name}' ({type(error).__name__}):"
            " going on without",
            MriprepWarning,
            stacklevel=2,
        )
    return ""


def _in_nilearn() -> Path | None:
    spec = importlib.util.find_spec("nilearn")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / "data"
    image = folder / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    return image if image.is_file() else None


def _no_nilearn() -> InputError:
    if importlib.util.find_spec("nilearn") is None:
        return InputError("the template 'mni152' comes with nilearn", hint="pip install nilearn")
    return InputError(
        "this version of nilearn does not ship the MNI152 template",
        hint="pip install 'nilearn>=0.11', or give a template's path",
    )

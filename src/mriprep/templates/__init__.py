"""Where templates come from: a file, the MNI152 that nilearn ships, or TemplateFlow."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path

from mriprep.core import InputError

#: Names that mean the MNI152 brain in nilearn's wheel, which needs no network.
BUNDLED = ("mni152", "MNI152NLin2009aSym")

_IMAGE_ENDINGS = (".nii", ".nii.gz", ".mgz", ".mgh", ".nrrd", ".nhdr", ".mha", ".mhd")
_FLOW_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(\+[a-z0-9]+)?(:(cohort|res)-[A-Za-z0-9]+)*")


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
    """

    name: str
    image: Path
    mask: Path | None = None
    licence: str = ""


def find(spec: str | Path, *, contrast: str = "T1w", offline: bool = False) -> Template:
    """Find a template by a file's path or by name.

    Parameters
    ----------
    spec : str or Path
        A path, ``"mni152"`` (a brain without skull, shipped with nilearn), or
        a name of TemplateFlow, with resolution and cohort if wanted:
        ``"MNI152NLin2009cAsym"``, ``"MNIPediatricAsym:cohort-3:res-1"``.
    contrast : str
        Which image of a TemplateFlow template: ``T1w``, ``T2w``, ``PDw``.
    offline : bool
        Never try the network; also set by the environment variable
        ``MRIPREP_OFFLINE=1``.

    Raises
    ------
    InputError
        If there is no such file, or TemplateFlow cannot provide it; says
        which file is wanted and where to put it.
    """
    text = str(spec)
    path = Path(spec).expanduser()
    if path.is_file():
        return Template(_label(path), path.resolve(), _mask_beside(path))
    if text in BUNDLED:
        return _bundled()
    if text.lower().endswith(_IMAGE_ENDINGS) or "/" in text or "\\" in text:
        raise InputError(
            f"the template '{text}' does not exist", hint="give the path of an image, or a name"
        )
    if not _FLOW_NAME.fullmatch(text):
        raise InputError(
            f"'{text}' is not a template",
            hint="give a file, 'mni152', or a TemplateFlow name such as"
            " MNI152NLin2009cAsym or MNIPediatricAsym:cohort-3",
        )
    return _templateflow(text, contrast, offline or os.environ.get("MRIPREP_OFFLINE") == "1")


def templateflow_home() -> Path:
    """The folder that TemplateFlow keeps templates in (``TEMPLATEFLOW_HOME``)."""
    default = Path.home() / ".cache" / "templateflow"
    return Path(os.environ.get("TEMPLATEFLOW_HOME") or default).expanduser()


def _bundled() -> Template:
    spec = importlib.util.find_spec("nilearn")
    if spec is None or not spec.submodule_search_locations:
        raise InputError("the template 'mni152' comes with nilearn", hint="pip install nilearn")
    folder = Path(spec.submodule_search_locations[0]) / "datasets" / "data"
    image = folder / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    if not image.is_file():
        raise InputError(
            "this version of nilearn does not ship the MNI152 template",
            hint="pip install 'nilearn>=0.11', or give a template's path",
        )
    return Template(
        "MNI152NLin2009aSym", image, None, "ICBM 2009a, McGill: use, copy and modify freely"
    )


def _templateflow(text: str, contrast: str, offline: bool) -> Template:
    name, *entities = text.split(":")
    wanted = dict(e.split("-", 1) for e in entities)
    found = _in_folder(templateflow_home() / f"tpl-{name}", wanted, contrast)
    if found is None and not offline:
        _fetch(name, wanted, contrast)
        found = _in_folder(templateflow_home() / f"tpl-{name}", wanted, contrast)
    if found is None:
        cohort = f"cohort-{wanted['cohort']}/" if "cohort" in wanted else ""
        file = "_".join([f"tpl-{name}", *entities, f"{contrast}.nii.gz"])
        raise InputError(
            f"the template '{text}' ({contrast}) is not on this machine"
            + (", and the network is switched off" if offline else ""),
            hint=f"put {file} into {templateflow_home() / f'tpl-{name}' / cohort}, or give the"
            " path of a template you have, or use 'mni152', which needs no network",
        )
    return Template(_with_cohort(name, wanted), found, _mask_beside(found))


def _with_cohort(name: str, wanted: dict[str, str]) -> str:
    cohort = f"+{wanted['cohort']}" if "cohort" in wanted else ""
    return name.split("+")[0] + cohort


def _in_folder(folder: Path, wanted: dict[str, str], contrast: str) -> Path | None:
    """The template's whole-head image in a TemplateFlow folder: the asked resolution, else 1."""
    if not folder.is_dir():
        return None
    files = [
        f
        for f in sorted(folder.rglob(f"*_{contrast}.nii.gz"))
        if "_desc-" not in f.name and f.stat().st_size
    ]
    for entity, value in wanted.items():
        number = value.lstrip("0") or "0"
        files = [f for f in files if re.search(rf"_{entity}-0*{re.escape(number)}_", f.name)]
    finest = [f for f in files if re.search(r"_res-0*1_", f.name)]
    return next(iter(finest or files), None)


def _fetch(name: str, wanted: dict[str, str], contrast: str) -> None:
    try:
        from templateflow import api
    except ImportError as error:
        raise InputError(
            f"the template '{name}' needs TemplateFlow's client", hint="pip install templateflow"
        ) from error
    query: dict[str, str | int] = {
        "resolution" if k == "res" else k: int(v) if v.isdigit() else v for k, v in wanted.items()
    }
    query.setdefault("resolution", 1)
    try:
        api.get(name, suffix=contrast, desc=None, extension=".nii.gz", **query)
        api.get(name, suffix="mask", desc="brain", extension=".nii.gz", **query)
    except Exception as error:  # the client lets every failure of its transports through
        import warnings

        from mriprep.core import MriprepWarning

        warnings.warn(
            f"TemplateFlow could not fetch '{name}': {type(error).__name__}",
            MriprepWarning,
            stacklevel=2,
        )


def _label(path: Path) -> str:
    match = re.match(r"tpl-([A-Za-z0-9]+)(?:.*_cohort-([A-Za-z0-9]+))?", path.name)
    if match:
        return match[1] + (f"+{match[2]}" if match[2] else "")
    stem = path.name.split(".")[0]
    # "head.nii.gz" in a folder "mni152-2009" is better named after its folder too.
    generic = {"head", "brain", "t1", "t1w", "t2", "template"}
    if stem.lower() in generic and path.resolve().parent.name:
        stem = f"{path.resolve().parent.name}{stem}"
    return re.sub(r"[^A-Za-z0-9]", "", stem) or "template"


def _mask_beside(path: Path) -> Path | None:
    """The brain mask that TemplateFlow's naming puts beside an image."""
    match = re.match(r"(.+)_(T1w|T2w|PDw)(\.nii(?:\.gz)?)$", path.name)
    if not match:
        return None
    mask = path.with_name(f"{match[1]}_desc-brain_mask{match[3]}")
    return mask if mask.is_file() and mask.stat().st_size else None

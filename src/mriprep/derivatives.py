"""Writing what a run made: names as in BIDS derivatives, a JSON record beside every file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .core import Role, Transform, Volume
from .record import FITTED, public
from .run import CARRIED, FACE, FOUND, Outcome
from .run_record import grids_of, record, sidecar_path, volume_facts

BIDS_VERSION = "1.10.0"

#: What lies among the derivatives and is none of what BIDS has names for yet.
NOT_BIDS = ("*.html", "*_xfm.*", "*_record.json", "**/slices", "**/slices/**", "runs", "runs/**",
            "group_scores.*", "figures", "figures/**", "qc.*", "qc_columns.json", "ratings.tsv",
            "*_quality.json", "states", "states/**")  # fmt: skip

#: Where, below the outputs, fitted states that were used are kept: KIND-SHA256.json.
STATES = "states"

#: Names and abbreviations of the labels of tissues.
_TISSUES = {
    1: ("cerebrospinal fluid", "CSF"),
    2: ("grey matter", "GM"),
    3: ("white matter", "WM"),
}

#: What BIDS calls the world of the scan itself.
_SCANNER = "orig"


def write(outcome: Outcome, folder: Path) -> list[Path]:
    """Write the results of a run.

    Parameters
    ----------
    outcome : Outcome
        A run that succeeded.
    folder : Path
        The derivatives' root; made if it is not there.

    Returns
    -------
    list of Path
        The files, images first. Each is written whole or not at all, and an
        image's record (``.json``) before the image, so that what has an
        image has its record.
    """
    from .io.atomic import atomic_path
    from .io.images import write_image
    from .io.slices import write_slices
    from .io.transforms import write_transform

    describe_dataset(folder)
    done = record(outcome)
    name = outcome.case.name
    subject = checked_folder(outcome, folder)
    for step in outcome.steps:
        if FITTED in step.facts:  # what it takes to do the same to another scan
            state = step.facts[FITTED]
            state.write(folder / STATES / f"{state.kind}-{state.sha256}.json")
    written: list[Path] = []
    for file_name, volume, about in _volumes(outcome):
        path = subject / "anat" / file_name
        with atomic_path(path) as temporary:
            write_image(volume, temporary)
            _sidecar(path, {**about, "output": volume_facts(volume)}, done)
            if "LabelNames" in about:
                _lookup_table(path, about["LabelNames"])
        written.append(path)
    for transform in _transforms(outcome):
        to = _label(transform.reference_name)
        path = subject / "anat" / f"{name}_from-{outcome.contrast}_to-{to}_mode-image_xfm.tfm"
        about = {
            "Description": f"maps points of {to} (mm) to points of the scan; pulls images the other way",
            "output": {"matrix_ras": transform.matrix.tolist(), **grids_of(transform)},
        }
        with atomic_path(path) as temporary:
            write_transform(transform, temporary)
            _sidecar(path, about, done)
        written.append(path)
    slices = outcome.state.get("slices")
    if slices is not None:
        form = next(s.parameters["format"] for s in outcome.steps if s.name == "slices")
        stem = f"{image_name(outcome, _space(outcome))}"
        written += write_slices(slices, subject / "slices", stem=stem, format=form)
        record_name = f"{stem}_plane-{slices.plane}_slices-record"
        _sidecar(subject / "slices" / record_name, {"Description": "slices"}, done)
    return written


def describe_dataset(folder: Path) -> Path:
    """Write ``dataset_description.json``, which makes a folder a BIDS derivative.

    And ``.bidsignore``, where there is none, for what is none of BIDS.

    Raises
    ------
    InputError
        If another dataset lies there, whose description it would overwrite.
    """
    from .io.atomic import write_json, write_text
    from .outputs import check_description

    check_description(folder)
    ignore = folder / ".bidsignore"
    if not ignore.exists():
        write_text("\n".join(NOT_BIDS) + "\n", ignore)

    about = {
        "Name": "mriprep derivatives",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "mriprep", "Version": version("mriprep")}],
    }
    return write_json(about, folder / "dataset_description.json")


def failure_path(outcome: Outcome, folder: Path) -> Path:
    """Where the record of a run that stopped is written."""
    name = outcome.case.name
    stem = f"{name}_{outcome.contrast}_desc-failed_record"
    return subject_folder(outcome, folder) / f"{stem}.json"


def write_failure(outcome: Outcome, folder: Path) -> Path:
    """Write the record of a run that stopped: what was done, where it stopped, why, what to do."""
    from .io.atomic import write_json

    describe_dataset(folder)
    checked_folder(outcome, folder)
    return write_json(record(outcome), failure_path(outcome, folder))


def volumes(outcome: Outcome) -> Iterator[tuple[str, Volume]]:
    """File name and volume of every volume that a run made."""
    yield from ((name, volume) for name, volume, _ in _volumes(outcome))


def _volumes(outcome: Outcome) -> list[tuple[str, Volume, dict[str, Any]]]:
    """File name, volume and description of every volume that a run made."""
    name, space = outcome.case.name, _space(outcome)
    done = [s.name for s in outcome.steps]
    masked = "apply_mask" in done or any(
        s.parameters.get("output") == "image" for s in outcome.steps if s.name == "skullstrip"
    )
    common = {
        "SpatialReference": _reference(outcome),
        **({"Resolution": _resolution(outcome)} if space else {}),
        "Sources": [str(outcome.case[outcome.contrast].meta.get("file", outcome.contrast))],
        **({"Doubts": outcome.doubts} if outcome.doubts else {}),
    }
    found = [
        (
            f"{image_name(outcome, space, 'preproc')}.nii.gz",
            outcome.image,
            {"Description": "preprocessed image", "SkullStripped": masked, **common},
        )
    ]
    follows = outcome.session is not None and outcome.session["reference"] != outcome.contrast
    if "mask" in outcome.state and not follows:  # the mask of a session is its reference's
        makers = [s.name for s in outcome.steps if s.makes == "mask" or s.name == "skullstrip"]
        what = "foreground" if makers[-1:] == ["background"] else "brain"
        found.append(
            (
                f"{name}{space}_desc-{what}_mask.nii.gz",
                outcome.state["mask"],
                {
                    "Description": f"{what} mask",
                    "Type": "Brain" if what == "brain" else "ROI",
                    **common,
                },
            )
        )
    if FACE in outcome.state:  # of each contrast, as each has its own grid
        whose = outcome.contrast if follows else ""
        found.append(
            (
                f"{name}{space}_desc-face{whose}_mask.nii.gz",
                outcome.state[FACE],
                {"Description": "face and ears, removed", "Type": "Face", **common},
            )
        )
    for slot, volume in outcome.state.items():
        if slot != "labels" and not slot.startswith(CARRIED):
            continue
        whose = outcome.contrast if outcome.session else ""
        named_so = _label(slot.removeprefix(CARRIED)) if slot != "labels" else whose
        if named_so == "tissues" and "tissues" in outcome.state:
            named_so = "tissuesgiven"  # what is found has that name
        suffix = "mask" if volume.role is Role.MASK else "dseg"
        desc = f"_desc-{named_so}" if named_so else ""
        found.append(
            (
                f"{name}{space}{desc}_{suffix}.nii.gz",
                volume,
                {
                    "Description": "given with the scan"
                    if suffix == "mask"
                    else "labels given with the scan",
                    **common,
                },
            )
        )
    found += _tissues(outcome, space, common)
    # Fields belong to the scan's own world, unless the image was pulled before they were estimated.
    native = {"SpatialReference": _SCANNER, "SkullStripped": False}
    native = {k: v for k, v in {**common, **native}.items() if k != "Resolution"}
    bias: Volume | None = outcome.kept.get("bias_field")
    on_image = bias is not None and bias.grid.matches(outcome.image.grid)
    if bias is not None:
        found.append(
            (
                f"{image_name(outcome, space if on_image else '', 'biasfield')}.nii.gz",
                bias.replace(contrast=outcome.contrast),
                {
                    "Description": "multiplicative bias field: the image was divided by it",
                    **({**common, "SkullStripped": False} if on_image else native),
                },
            )
        )
    if "bias_lattice" in outcome.kept:
        found.append(
            (
                f"{image_name(outcome, '', 'biaslattice')}.nii.gz",
                outcome.kept["bias_lattice"],
                {
                    "Description": "control points of the cubic B-spline whose exponential is the"
                    " bias field; evaluate it on any grid with mriprep.kernels.spline.evaluate",
                    **native,
                    **({"SpatialReference": _reference(outcome)} if on_image else {}),
                },
            )
        )
    return found


def _tissues(
    outcome: Outcome, space: str, common: Mapping[str, Any]
) -> list[tuple[str, Volume, dict[str, Any]]]:
    """Labels and probabilities of tissues, where they were found."""
    labels, *fractions = (outcome.state.get(slot) for slot in FOUND)
    if labels is None:
        return []
    stem = f"{outcome.case.name}{space}"
    found = [
        (
            f"{stem}_desc-tissues_dseg.nii.gz",
            labels,
            {
                "Description": "tissue that a voxel of the brain holds most of",
                "LabelNames": {str(n): names[0] for n, names in _TISSUES.items()},
                **common,
            },
        )
    ]
    for (name, abbreviation), volume in zip(_TISSUES.values(), fractions, strict=True):
        if volume is not None:
            about = {"Description": f"{name}: share of the voxel", "LabelName": name, **common}
            found.append((f"{stem}_label-{abbreviation}_probseg.nii.gz", volume, about))
    return found


def _lookup_table(path: Path, label_names: Mapping[str, str]) -> Path:
    """What labels stand for, as BIDS has it: a table of their indices and names beside them."""
    from .io.atomic import write_text

    abbreviations = dict(_TISSUES.values())
    rows = [f"{n}\t{name}\t{abbreviations[name]}" for n, name in label_names.items()]
    text = "\n".join(["index\tname\tabbreviation", *rows]) + "\n"
    return write_text(text, sidecar_path(path).with_suffix(".tsv"))


def image_name(outcome: Outcome, space: str = "", desc: str = "") -> str:
    """A file's name up to its ending; BIDS has no suffix for T1w with contrast agent, but an entity."""
    contrast, agent = outcome.contrast, ""
    if contrast == "T1c":
        contrast, agent = "T1w", "_ce-gadolinium"
    return f"{outcome.case.name}{agent}{space}{f'_desc-{desc}' if desc else ''}_{contrast}"


def _transforms(outcome: Outcome) -> list[Transform]:
    """The transforms to write: to where the image went, and to the session's reference."""
    found = [outcome.state.get(slot) for slot in ("transform", "to_reference")]
    known = {t.reference_name: t for t in reversed(found) if isinstance(t, Transform)}
    return list(reversed(known.values()))


def _space(outcome: Outcome) -> str:
    """The ``space-`` and ``res-`` entities of the final image."""
    resampled = [s for s in outcome.steps if s.name == "resample"]
    if not resampled:
        return ""
    world = _reference(outcome)
    space = f"_space-{_label(world)}" if world != _SCANNER else ""
    spacing = outcome.image.spacing
    alike = max(spacing) - min(spacing) < 1e-3
    size = f"{spacing[0]:.4g}".replace(".", "p") + "mm" if alike else "anisotropic"
    return f"{space}_res-{size}"


def _resolution(outcome: Outcome) -> str:
    """What the ``res-`` entity stands for."""
    spacing = " x ".join(f"{s:.4g}" for s in outcome.image.spacing)
    return f"voxels of {spacing} mm, interpolated once from the scan's own grid"


def _reference(outcome: Outcome) -> str:
    """The world that the image was pulled into, or the scanner's."""
    pulled = [s.pulled for s in outcome.steps if s.name == "resample" and s.pulled]
    return pulled[0].reference_name if pulled else _SCANNER


def _label(text: str) -> str:
    """Letters, digits and the plus that BIDS allows in a label."""
    return re.sub(r"[^A-Za-z0-9+]", "", text) or "template"


def subject_folder(outcome: Outcome, folder: Path) -> Path:
    """Where outputs of a case go: ``sub-01_ses-2`` into ``sub-01/ses-2``."""
    name = outcome.case.name
    split = re.fullmatch(r"sub-[^_]+_ses-[^_]+", name) is not None
    return folder.joinpath(*(name.split("_")[:2] if split else [name]))


def checked_folder(outcome: Outcome, folder: Path) -> Path:
    """As :func:`subject_folder`; refused where the disk takes another case's for it."""
    from .outputs import check_spelling

    place = subject_folder(outcome, folder)
    for part in (place, *place.parents):
        if part == folder:
            break
        check_spelling(part)
    return place


def _sidecar(path: Path, about: Mapping[str, Any], done: Mapping[str, Any]) -> Path:
    from .io.atomic import write_json

    return write_json({**public(about), **done}, sidecar_path(path))

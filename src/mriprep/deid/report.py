"""What was removed, what was kept and why: names of attributes and counts, never a value."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import version
from typing import Any

from .allowed import keywords
from .images import Work

SCHEMA = 1
LIMITS = (
    "Faces: the voxels are as they were, and a face can be seen in a head. Deface the images too.",
    "Text in pixels is looked for by its shape (rows of letters of one grey value): smoothed or"
    " handwritten text is not found.",
    "Rare scans and rare diseases may tell who somebody is without any name.",
)


def summary(work: Work, *, files: int, lasting: bool, mapped: bool) -> dict[str, Any]:
    """The report as plain data."""
    why = keywords(work.options)
    held = Counter(h.why for h in work.held)
    return {
        "schema": SCHEMA,
        "tool": f"mriprep {version('mriprep')}",
        "profile": "DICOM PS3.15 Annex E, Basic Application Level Confidentiality Profile",
        "kept_by_option": sorted(work.options),
        "codes": "made with the given secret" if lasting else "random, of this run alone",
        "map": "written apart, encrypted" if mapped else "none was kept",
        "files": {
            "read": files,
            "written": dict(sorted(work.kinds.items())),
            "held_back": len(work.held),
        },
        "series": work.series,
        "subjects": len(work.subjects),
        "held_back": [{"why": w, "files": n} for w, n in sorted(held.items())],
        "dicom": {
            "kept": {
                k: {"times": n, "why": why.get(k, "numbers that are needed to read the voxels")}
                for k, n in sorted(work.dicom.kept.items())
            },
            "changed": {
                k: {"times": n, "why": why.get(k, "numbers that are needed to read the voxels")}
                for k, n in sorted(work.dicom.changed.items())
            },
            "removed": dict(sorted(work.dicom.removed.items())),
            "always_new": "preamble, file meta information, PatientName and PatientID (the code);"
            " compressed pixels are unpacked, bytes after them left out",
        },
        "nifti": {
            "kept": "geometry, type and scaling of the voxels, the voxels",
            "removed": "descrip, aux_file, intent_name, db_name, data_type, all other texts and"
            " unused bytes, extensions, bytes after the voxels, names inside gzip",
        }
        if work.kinds["NIfTI"]
        else {},
        "json": {
            "kept": dict(sorted(work.json_kept.items())),
            "removed": dict(sorted(work.json_removed.items())),
        },
        "names": "files and folders have new names: codes, and words of BIDS",
        "not_covered": list(LIMITS),
    }


def people(number: int) -> str:
    """So many, in words."""
    return f"{number} subject" + ("s" if number != 1 else "")


def readable(told: dict[str, Any]) -> str:
    """The report as text."""
    files = told["files"]
    wrote = ", ".join(f"{n} {k}" for k, n in files["written"].items()) or "nothing"
    lines = [
        f"De-identified by {told['tool']}",
        told["profile"],
        f"Kept by option: {', '.join(told['kept_by_option']) or 'nothing'}",
        f"Codes: {told['codes']}. Map: {told['map']}.",
        "",
        f"{files['read']} files read. Written: {wrote}, of {people(told['subjects'])}.",
        f"{files['held_back']} files held back, of which nothing was copied:",
        *(f"  {h['files']:6d}  {h['why']}" for h in told["held_back"]),
    ]
    dicom = told["dicom"]
    for title in ("removed", "changed", "kept"):
        if dicom[title]:
            lines += ["", f"DICOM, {title}:"]
        for name, about in dicom[title].items():
            count, why = (about, "") if isinstance(about, int) else (about["times"], about["why"])
            lines.append(f"  {count:6d}  {name}{f' ({why})' if why else ''}")
    lines += [f"DICOM, always new: {dicom['always_new']}"] if dicom["removed"] else []
    for what in ("kept", "removed"):
        if told["nifti"]:
            lines.append(f"NIfTI, {what}: {told['nifti'][what]}")
    for what in ("kept", "removed"):
        if told["json"][what]:
            lines += ["", f"JSON, {what}:"]
            lines += [f"  {n:6d}  {k}" for k, n in told["json"][what].items()]
    lines += ["", f"Names: {told['names']}.", "", "Not covered:"]
    return "\n".join([*lines, *(f"  {t}" for t in told["not_covered"])]) + "\n"

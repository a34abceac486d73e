"""Writing what is to be seen of a cohort: its page and tables, and what it tells of each image."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mriprep.core import InputError
from mriprep.io.atomic import atomic_path, write_text
from mriprep.outputs import folder_of_outputs

from . import blocks, collect, tables
from .cohort_page import Failed, render_cohort
from .meanings import Meanings, meanings
from .outliers import cohort_reasons
from .report import INDEX
from .session_report import mark_of, short_verdict
from .standing import standing

#: Where small pictures of images lie, beside the cohort's page.
FIGURES = "figures"
#: Longest side of these, pixels.
SMALL = 144


@dataclass(frozen=True)
class Overview:
    """What was written of a cohort.

    Parameters
    ----------
    page : Path
        ``index.html``.
    tables : tuple of Path
        ``qc.tsv``, the meanings of its columns, ``qc.json``.
    counts : mapping of str to int
        Images by verdict.
    failures : int
        Cases that did not come to their end.
    problems : tuple of (str, str)
        Files that could not be used, and why.
    unmeasured : tuple of str
        Cases that are done and have no quality file.
    flagged : tuple of (str, str, str)
        Case, contrast and verdict of images that do not pass, worst first.
    """

    page: Path
    tables: tuple[Path, ...]
    counts: Mapping[str, int]
    failures: int = 0
    problems: tuple[tuple[str, str], ...] = ()
    unmeasured: tuple[str, ...] = ()
    flagged: tuple[tuple[str, str, str], ...] = ()


def write_overview(
    out: Path,
    *,
    version: str,
    failures: Sequence[Failed] = (),
    problems: Sequence[tuple[str, str]] = (),
    done: Iterable[str] = (),
    metrics: Meanings | None = None,
) -> Overview:
    """Read the quality of all images below a folder, compare them, and write what is to be seen.

    Writes ``index.html``, ``qc.tsv``, ``qc_columns.json``, ``qc.json`` and
    small pictures in ``figures/``; the page of each image is given the
    verdict that follows from the comparison, and where it stands. Quality
    files are not changed. Every file is written whole or not at all.

    Parameters
    ----------
    out : Path
        The derivatives' root.
    version : str
        Of mriprep.
    failures : sequence of Failed
        What is known of cases that did not come to their end.
    problems : sequence of (str, str)
        Files that could not be used, and why, beside those found here.
    done : iterable of str
        Cases that are done; those without a quality file are told of.
    metrics : mapping, optional
        What metrics mean; by default what mriprep knows of them.

    Raises
    ------
    InputError
        If there is no such folder, or nothing to tell of: no quality file and
        no failure.
    OutputError
        If something cannot be written.
    """
    out = folder_of_outputs(out)
    known = meanings() if metrics is None else metrics
    found = collect.read_qualities(out)
    ratings, of_ratings = collect.read_ratings(out)
    problems = [*problems, *found.problems, *of_ratings]
    if not found.qualities and not failures:
        raise _nothing(out, found)
    images = compared(found.qualities, known)
    failures = [*failures, *_failed(images, {f.case for f in failures})]
    pages = {
        (q["case"], q["contrast"]): name
        for q in images
        if (out / (name := collect.page_of(q))).is_file()
    }
    problems += _refresh(out, images, pages, known)
    pictures = _pictures(out, pages)
    there = {f.case: n for f in failures if (n := _page_of_case(f.case, out))}
    measured = {q["case"] for q in images}
    html = render_cohort(
        images,
        version=version,
        known=known,
        pages=pages,
        pictures=pictures,
        ratings=ratings,
        failures=[replace(f, page=f.page or there.get(f.case, "")) for f in failures],
        problems=problems,
        unmeasured=(unmeasured := sorted(set(done) - measured)),
    )
    written = tables.write_tables(out, images, ratings, known)
    page = write_text(html, out / INDEX)
    counts = {v: sum(q["verdict"] == v for q in images) for v in blocks.VERDICTS}
    flagged = [
        (q["case"], q["contrast"], v) for v in ("fail", "look") for q in images if q["verdict"] == v
    ]
    return Overview(
        page,
        tuple(written),
        counts,
        len(failures),
        tuple(problems),
        tuple(unmeasured),
        tuple(flagged),
    )


def compared(
    qualities: Sequence[Mapping[str, Any]], metrics: Meanings | None = None
) -> list[dict[str, Any]]:
    """Qualities with the reasons that follow from comparing them, and the verdicts that these make.

    Reasons that an earlier comparison gave are left out.
    """
    own = [
        {**q, "reasons": [r for r in q["reasons"] if not r["code"].startswith("cohort-")]}
        for q in qualities
    ]
    found = cohort_reasons(own, metrics)
    return [
        {
            **q,
            "reasons": [*q["reasons"], *more],
            "verdict": blocks.worst(q["verdict"], *(r["level"] for r in more)),
        }
        for q, more in zip(own, found, strict=True)
    ]


def _failed(images: Sequence[Mapping[str, Any]], told: set[str]) -> list[Failed]:
    """Images that came to no end, of cases that no run tells of."""
    found = []
    for q in images:
        for r in q["reasons"]:
            if r["code"] == "failed" and q["case"] not in told:
                about = f"{q['case']} {q['contrast']}", str(r.get("step") or ""), r["says"]
                found.append(Failed(*about, hint=str(r.get("hint") or "")))
    return found


def _nothing(out: Path, found: collect.Found) -> InputError:
    if found.problems:
        name, why = found.problems[0]
        return InputError(
            f"none of the {len(found.problems)} quality files in '{out}' can be used; {name}: {why}",
            hint="run the cases again, or remove files that are none of mriprep's",
        )
    return InputError(
        f"there is no quality file in '{out}' ({collect.PATTERNS[0]}), and no case that failed",
        hint="give the folder that `mriprep run INPUT OUT` wrote to; cases that were run by a version"
        " that wrote none are to be run again (--force)",
    )


# -- pages of images --------------------------------------------------------------------------


def _refresh(
    out: Path,
    images: Sequence[Mapping[str, Any]],
    pages: Mapping[tuple[str, str], str],
    known: Meanings,
) -> list[tuple[str, str]]:
    """Give each image's page what is known now; what could not be done."""
    spread = standing(images)
    problems = []
    for quality in images:
        name = pages.get((quality["case"], quality["contrast"]))
        if name is None:  # it was run without a report
            continue
        at = spread.get(quality["contrast"])
        try:
            html = (out / name).read_text("utf-8")
            filled = {
                "histograms": blocks.histograms(quality, at),
                "metrics": blocks.metrics(quality, at, known),
            }
            ids = blocks.ids_of(html) | {n for n, h in filled.items() if h}
            ids -= {n for n, h in filled.items() if not h}
            verdict = blocks.verdict(
                quality, finished="", state="", hint=None, ids=ids, index=INDEX
            )
            new = blocks.refilled(html, {"verdict": verdict, **filled})
        except (OSError, UnicodeDecodeError, InputError) as error:
            problems.append((name, getattr(error, "message", None) or str(error)))
            continue
        if new != html:
            write_text(new, out / name)
    return problems + _refresh_sessions(out, images, pages)


def _page_of_case(case: str, out: Path) -> str:
    """The page of a case that failed: of its session, or of the contrast that it stopped at."""
    if "/" in case or "\\" in case:
        return ""
    of_contrasts = sorted(p.name for p in out.iterdir() if p.name.startswith(f"{case}_"))
    names = [f"{case}.html", *(n for n in of_contrasts if n.endswith(".html"))]
    return next((n for n in names if _is_page(out / n, out)), "")


def _is_page(path: Path, out: Path) -> bool:
    """Whether a page is there, in the output folder itself."""
    return path.parent == out and path.is_file()


def _refresh_sessions(
    out: Path, images: Sequence[Mapping[str, Any]], pages: Mapping[tuple[str, str], str]
) -> list[tuple[str, str]]:
    by_page = {name: key for key, name in pages.items()}
    by_key = {(q["case"], q["contrast"]): q for q in images}
    problems = []
    for case in dict.fromkeys(q["case"] for q in images):
        path = out / f"{case}.html"
        if not _is_page(path, out):
            continue
        try:
            html = path.read_text("utf-8")
            parts, verdicts = {}, []
            for number, page in re.findall(
                r'<h2 id="contrast-(\d+)">.*?<a href="([^"]+)">', html, re.DOTALL
            ):
                key = by_page.get(unquote(page))
                if key is not None:
                    parts[mark_of(int(number))] = short_verdict(by_key[key], unquote(page))
                    verdicts.append(by_key[key]["verdict"])
            whole = {"verdict": blocks.worst(*verdicts), "reasons": []}
            parts["verdict"] = blocks.verdict(whole, finished="", state="", hint=None, index=INDEX)
            new = blocks.refilled(html, parts)
        except (OSError, UnicodeDecodeError, InputError) as error:
            problems.append((path.name, getattr(error, "message", None) or str(error)))
            continue
        if new != html:
            write_text(new, path)
    return problems


# -- small pictures ---------------------------------------------------------------------------

_PICTURE = re.compile(r'src="data:image/(webp|jpeg|png);base64,([A-Za-z0-9+/=]+)"')


def _pictures(out: Path, pages: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """A small picture of each image, taken from its page; where each lies."""
    found = {}
    for key, name in pages.items():
        picture = _small((out / name).read_text("utf-8", errors="replace"))
        if picture is None:
            continue
        path = out / FIGURES / f"{Path(name).stem}.webp"
        if not path.is_file() or path.read_bytes() != picture:
            with atomic_path(path) as temporary:
                temporary.write_bytes(picture)
        found[key] = f"{FIGURES}/{path.name}"
    return found


def _small(page: str) -> bytes | None:
    """The slice in the midst of a page's mosaic, else its first picture; None where it has none."""
    from PIL import Image

    _, _, rest = page.partition('<section id="mosaic"')
    all_found = _PICTURE.findall(rest.partition("</section>")[0])
    chosen = all_found[len(all_found) // 2] if all_found else None
    if chosen is None:
        first = _PICTURE.search(page)
        if first is None:
            return None
        chosen = (first[1], first[2])
    kind, text = chosen
    data = base64.b64decode(text)
    try:
        with Image.open(io.BytesIO(data)) as image:
            if kind == "webp" and max(image.size) <= SMALL:
                return data
            image.thumbnail((SMALL, SMALL))
            buffer = io.BytesIO()
            image.save(buffer, "WEBP", quality=75)
    except OSError:
        return None
    return buffer.getvalue()

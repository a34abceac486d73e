"""``qc.tsv``, what its columns mean, and ``qc.json``: a cohort's quality for other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mriprep.io.atomic import write_json, write_text

from .meanings import Meanings, described, number, ordered

TABLE, COLUMNS, WHOLE = "qc.tsv", "qc_columns.json", "qc.json"

_FIRST = {
    "case": "subject and session",
    "contrast": "which image of it",
    "verdict": "pass; look: somebody must look before it is used; fail: not fit for use",
    "reasons": "codes of what speaks against it, parted by commas; n/a where nothing does. Those that"
    " begin with cohort- come from the comparison with the other images of its contrast",
    "rating": "what people said who looked: pass, fail or unsure; mixed where raters differ",
}


def write_tables(
    out: Path,
    qualities: Sequence[Mapping[str, Any]],
    ratings: Mapping[tuple[str, str], str],
    known: Meanings,
) -> list[Path]:
    """Write the table, its columns' meanings and the whole as JSON; their paths.

    Raises
    ------
    OutputError
        If they cannot be written.
    """
    scores = list(dict.fromkeys(s for q in qualities for s in q["scores"]))
    metrics = ordered([m for q in qualities for m in q["metrics"]], known)
    rows = [[*_FIRST, *(f"score_{s}" for s in scores), *metrics]]
    for q in qualities:
        codes = ",".join(dict.fromkeys(r["code"] for r in q["reasons"]))
        rating = ratings.get((q["case"], q["contrast"]))
        values = [*(q["scores"].get(s) for s in scores), *(q["metrics"].get(m) for m in metrics)]
        rows.append(
            [q["case"], q["contrast"], q["verdict"], codes, rating or "", *map(_number, values)]
        )
    text = "\n".join("\t".join(_cell(v) for v in row) for row in rows) + "\n"
    meanings = {
        **{k: {"Description": v} for k, v in _FIRST.items()},
        **{
            f"score_{s}": {"Description": f"score of {s}, 0 to 1, higher is better"} for s in scores
        },
        **{m: _column(m, known) for m in metrics},
    }
    return [
        write_text(text, out / TABLE),
        write_json(meanings, out / COLUMNS),
        write_json({"schema": 1, "images": list(qualities)}, out / WHOLE),
    ]


def _column(name: str, known: Meanings) -> dict[str, str]:
    if name not in known:
        return {"Description": "a measure that this mriprep does not know"}
    said = known[name]
    return {
        "LongName": said.title,
        "Description": described(said),
        **({"Units": said.unit} if said.unit else {}),
    }


def _number(value: Any) -> str:
    found = number(value)
    return "" if found is None else f"{found:.6g}"


def _cell(value: Any) -> str:
    """A value in one cell: no tab, no line break; what is not known as BIDS says it."""
    return " ".join(str(value).split()) or "n/a"

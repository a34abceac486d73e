"""The changelog's section of a version, as a release's notes: ``python packaging/notes.py v1.2.3``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def notes(tag: str, changelog: str) -> str:
    """The section ``## 1.2.3`` (or ``## [1.2.3] - date``) without its heading."""
    version = re.escape(tag.removeprefix("v"))
    found = re.search(
        rf"^## \[?{version}\]?(?![\w.]).*?\n(.*?)(?=^## |\Z)", changelog, flags=re.M | re.S
    )
    if not found or not found[1].strip():
        raise SystemExit(f"CHANGELOG.md has no section '## {tag.removeprefix('v')}'")
    return found[1].strip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(notes(sys.argv[1], CHANGELOG.read_text(encoding="utf-8")))

"""Whether a wheel holds what it should: ``python packaging/check_wheel.py dist/*.whl [--tag v1.2.3]``."""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = "mriprep/viewer/static/index.html"


def lacking(wheel: Path, source: Path = ROOT / "src") -> list[str]:
    """What the sources hold and the wheel does not, the viewer's page among it."""
    wanted = {
        p.relative_to(source).as_posix()
        for p in (source / "mriprep").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    return sorted((wanted | {PAGE}) - held)


def version(wheel: Path) -> str:
    """The version in its name."""
    return wheel.name.split("-")[1]


def main() -> None:
    """Refuse a wheel that lacks something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--tag", help="the tag it is released under")
    given = parser.parse_args()
    absent = lacking(given.wheel)
    if absent:
        raise SystemExit(f"{given.wheel.name} lacks {', '.join(absent)}")
    if given.tag and given.tag.removeprefix("v") != version(given.wheel):
        raise SystemExit(f"the tag is {given.tag}, the wheel's version {version(given.wheel)}")
    print(f"{given.wheel.name} holds all of src/mriprep, and the page of `mriprep view`")


if __name__ == "__main__":
    main()

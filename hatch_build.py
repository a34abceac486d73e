"""Builds the page of `mriprep view` into wheels and source archives, where npm is there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = "src/mriprep/viewer/static"


class Page(BuildHookInterface):
    """`web/` to `src/mriprep/viewer/static/`, which git does not hold."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page, unless the package stays where its source is (`make web` is for that)."""
        if version == "editable":
            return
        root = Path(self.root)
        npm = shutil.which("npm")
        if npm and (root / "web" / "package-lock.json").is_file():
            fetched = subprocess.run([npm, "ci", "--ignore-scripts"], cwd=root / "web")
            if fetched.returncode == 0:
                subprocess.run([npm, "run", "build"], cwd=root / "web", check=True)
        if (root / PAGE / "index.html").is_file():  # built now, or in the source archive
            build_data["artifacts"].append(f"/{PAGE}/*")
        else:
            self.app.display_warning(
                "the page of `mriprep view` is not in this package: building it needs npm (Node.js"
                " 20 or newer) and its registry; all else works without it"
            )

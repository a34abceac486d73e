"""Settings of the documentation's site: ``make docs`` builds it, https://www.sphinx-doc.org reads it.

Pages stay where they are; the tables of contents in ``index.md`` and in each
section's ``index.md`` arrange them. Pages of the reference are written from
the code when the site is built (``generated.py``).
"""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "mriprep"
copyright = "The mriprep developers, Apache-2.0"
release = version = version_of("mriprep")

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
# Headings may be linked to as on GitHub: page.md#a-heading.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
# Tables of parameters break within their code; a console's block has no lexer that knows it.
highlight_language = "none"
nitpicky = True

html_theme = "furo"
html_title = "mriprep"
html_show_sphinx = False
html_copy_source = False
html_static_path: list[str] = []
# Nothing is fetched by whoever reads: furo takes the system's own fonts.
html_theme_options = {
    "source_repository": "https://github.com/mriprep/mriprep/",
    "source_branch": "main",
    "source_directory": "docs/",
}


def setup(app: object) -> None:
    """Write the reference before Sphinx looks for pages."""
    from generated import write

    write(HERE / "reference")

"""Which files of the folder of outputs are served, and how."""

from __future__ import annotations

import base64
import os
import re
import stat
from pathlib import Path
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from .guard import refusal

#: What is served, and as what. Volumes stay packed: the page unpacks them.
TYPES = {
    ".nii.gz": "application/gzip",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".tsv": "text/tab-separated-values; charset=utf-8",
    ".log": "text/plain; charset=utf-8",
    ".webp": "image/webp",
    ".png": "image/png",
}
#: Where logs lie that the cohort's page links to; others are nobody's business.
_LOG = re.compile(r"runs/[^/]+/logs/[^/]+\.log")
#: Reports bring scripts of their own. In a sandbox without an origin these can neither read
#: anything of this server nor rate in anybody's name, whatever the folder holds.
_REPORT_POLICY = (
    "sandbox allow-scripts allow-popups allow-popups-to-escape-sandbox allow-downloads;"
    " default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline';"
    " script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


#: As the cohort's page names its small pictures, which lie beside it.
_PICTURE = re.compile(r'(?<= src=")figures/[^"]+\.webp(?=")')


def within(root: Path, path: str) -> Path | None:
    """The file that a path of a request names, None for whatever is not to be served.

    Parameters
    ----------
    root : Path
        The folder of outputs, resolved.
    path : str
        As in the request, decoded once: parts with ``/`` between. Refused are
        parts that lead upwards or are hidden, NUL, backslashes, other endings
        than :data:`TYPES`, links that lead out of `root`, and what is no file.
    """
    parts = path.split("/")
    if "\\" in path or "\0" in path or any(not p or p.startswith(".") for p in parts):
        return None
    if kind(path) is None or (path.endswith(".log") and not _LOG.fullmatch(path)):
        return None
    try:
        real = root.joinpath(*parts).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        return None
    # The ending of what a link leads to counts as well.
    if not real.is_relative_to(root) or kind(real.name) is None or not real.is_file():
        return None
    return real


def kind(name: str) -> str | None:
    """The media type of a file that is served; None for all others."""
    return next((t for ending, t in TYPES.items() if name.endswith(ending)), None)


def overview(root: Path, path: Path) -> Response:
    """The page of all images with its small pictures in it: a sandbox may ask for no others."""

    def inside(found: re.Match[str]) -> str:
        picture = within(root, unquote(found[0]))
        if picture is None:
            return found[0]
        return f"data:image/webp;base64,{base64.b64encode(picture.read_bytes()).decode()}"

    try:
        page = _PICTURE.sub(inside, path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return refusal(404, "the page of all images cannot be read: mriprep report writes it anew")
    headers = {"content-security-policy": _REPORT_POLICY, "cache-control": "private, no-cache"}
    return Response(page, headers=headers, media_type=TYPES[".html"])


def answer(request: Request, path: Path) -> Response:
    """A file, or a part of it, or that it has not changed."""
    try:
        about = os.stat(path)
    except OSError:
        return refusal(404, "there is no such file")
    if not stat.S_ISREG(about.st_mode):
        return refusal(404, "there is no such file")
    tag = f'"{about.st_mtime_ns:x}-{about.st_size:x}"'
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if path.name.endswith(".html"):
        headers["content-security-policy"] = _REPORT_POLICY
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return FileResponse(path, headers=headers, media_type=kind(path.name), stat_result=about)

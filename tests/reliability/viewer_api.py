"""The viewer's API as OpenAPI, made of its routes and of the models that check what is sent.

Addresses, methods and bodies come from the code; what is said here is which answers there are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mriprep.viewer import app
from mriprep.viewer.guard import FILES, Keys

ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string", "minLength": 1}},
    "required": ["error"],
    "additionalProperties": False,
}
RATING = {
    "type": "object",
    "properties": {
        c: {"type": "string"} for c in ("case", "contrast", "rating", "note", "rater", "time")
    },
    "required": ["case", "contrast", "rating", "note", "rater", "time"],
    "additionalProperties": False,
}
SUMMARY = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "case": {"type": "string"},
        "contrast": {"type": "string"},
        "verdict": {"enum": ["pass", "look", "fail", None]},
        "image": {"type": ["boolean", "object", "null"]},
    },
    "required": ["id", "case", "contrast", "verdict", "reasons", "image"],
}
IMAGES = {
    "type": "object",
    "properties": {
        "folder": {"type": "string"},
        "rater": {"type": ["string", "null"]},
        "metrics": {"type": "object"},
        "images": {"type": "array", "items": SUMMARY},
        "ratings": {"type": "array", "items": RATING},
    },
    "required": ["folder", "rater", "overview", "metrics", "images", "ratings"],
}
#: What is answered where all is well: status, media types, content.
GOOD: dict[str, tuple[int, tuple[str, ...], Any]] = {
    "/": (200, ("text/html",), {"type": "string"}),
    "/static/{name}": (
        200,
        tuple(sorted({kind.split(";")[0] for kind in app.PAGE_FILES.values()})),
        {"type": "string"},
    ),
    "/api/enter": (200, ("application/json",), {"type": "object", "maxProperties": 0}),
    "/api/images": (200, ("application/json",), IMAGES),
    "/api/images/{ident}": (200, ("application/json",), SUMMARY),
    "/api/images/{ident}/template": (200, ("application/gzip",), {}),
    "/api/ratings": (201, ("application/json",), RATING),
    FILES + "{path}": (200, ("*/*",), {}),
}
#: Names that lead to something; the search begins with them.
EXAMPLES = {
    "name": ["app.js", "licences.txt", "index.html"],
    "ident": ["sub-01_T1w", "sub-03_T1w"],
    "path": ["qc.json", "sub-01/anat/sub-01_T1w_quality.json", "sub-01_T1w.html", "link.json",
             "../secret.json", "up/secret.json", "a.mask.nii.gz"],
}  # fmt: skip
OPEN = ("/", "/static/{name}", "/api/enter")
_SENT = {"/api/enter": app.Entry, "/api/ratings": app.NewRating}


def described() -> dict[str, Any]:
    """The description. Cookies are not in it: tests send the right one, and then none or wrong ones."""
    paths: dict[str, Any] = {}
    for route in app.Viewer(Path(), Keys(0)).routes():
        path = route.path.replace(":path", "")
        for method in sorted(route.methods or ()):
            paths.setdefault(path, {})[method.lower()] = _operation(path, method)
    return {
        "openapi": "3.1.0",
        "info": {"title": "mriprep view", "version": "1"},
        "paths": paths,
    }  # fmt: skip


def _operation(path: str, method: str) -> dict[str, Any]:
    status, kinds, content = GOOD[path]
    json = {"content": {"application/json": {"schema": ERROR}}, "description": "why not"}
    empty = {"description": "why not"}  # HEAD has no content
    refusals = (401, 403, 404, *((400, 413, 415, 422) if method == "POST" else ()))
    operation: dict[str, Any] = {
        "responses": {
            str(status): {"description": "it is there", **({} if method == "HEAD" else {"content": {kind: {"schema": content} for kind in kinds}})},
            **{str(s): empty if method == "HEAD" else json for s in refusals},
        },

        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1},
             "examples": {n: {"value": n} for n in EXAMPLES[name]}}
            for name in EXAMPLES if f"{{{name}}}" in path
        ],
    }  # fmt: skip
    if method == "POST":
        schema = _SENT[path].model_json_schema()
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}  # fmt: skip
    return operation

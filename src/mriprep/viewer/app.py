"""What the page asks for: the images of a folder, one image, its files, and to write a rating."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from mriprep import ratings
from mriprep.core import MriprepError
from mriprep.qc.report import INDEX

from . import files
from .guard import FILES, Guard, Keys, refusal
from .images import Image, detail, find, legend, summary
from .judged import first_of
from .template import template_file

#: Where the page lies that is made from ``web/``.
STATIC = Path(__file__).parent / "static"
PAGE_FILES = {
    "app.js": "text/javascript; charset=utf-8",
    "app.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "licences.txt": "text/plain; charset=utf-8",
}
#: Most that a request may send, in bytes.
LARGEST = 16_384


_Sent = TypeVar("_Sent", bound=BaseModel)


class Entry(BaseModel):
    """What the page sends to be let in."""

    model_config = ConfigDict(extra="forbid", strict=True)
    token: Annotated[str, Field(max_length=200)]


class NewRating(BaseModel):
    """What the page sends when somebody rates."""

    model_config = ConfigDict(extra="forbid", strict=True)
    case: Annotated[str, Field(max_length=200)]
    contrast: Annotated[str, Field(max_length=40)]
    rating: Annotated[str, Field(max_length=40)]
    note: Annotated[str, Field(max_length=ratings.LONGEST_NOTE)] = ""
    rater: Annotated[str, Field(max_length=40)]


class Viewer:
    """The answers, about one folder of outputs.

    Parameters
    ----------
    folder : Path
        The folder of outputs.
    keys : Keys
        Who is let in.
    rater : str, optional
        The name that the page suggests.
    """

    def __init__(self, folder: Path, keys: Keys, rater: str | None = None) -> None:
        self.folder = folder.resolve()
        self.keys = keys
        self.rater = rater
        self.known: dict[str, Image] = {}

    def routes(self) -> list[Route]:
        """Addresses and what answers at them."""
        return [
            Route("/", self.page),
            Route("/static/{name}", self.static),
            Route("/api/enter", self.enter, methods=["POST"]),
            Route("/api/images", self.images),
            Route("/api/images/{ident}", self.image),
            Route("/api/images/{ident}/template", self.template),
            Route("/api/ratings", self.rate, methods=["POST"]),
            Route(FILES + "{path:path}", self.file),
        ]

    # -- the page -------------------------------------------------------------------------------

    def page(self, request: Request) -> Response:
        """The page; what it shows it asks for."""
        if not (STATIC / "index.html").is_file():
            return refusal(404, "the page is not built: make web")
        return _shown("index.html", "text/html; charset=utf-8")

    def static(self, request: Request) -> Response:
        """Its script, styles and licences."""
        name = request.path_params["name"]
        if name not in PAGE_FILES or not (STATIC / name).is_file():
            return refusal(404, "there is no such file")
        return _shown(name, PAGE_FILES[name])

    async def enter(self, request: Request) -> Response:
        """A token for a cookie."""
        asked = await _content(request, Entry)
        if isinstance(asked, Response):
            return asked
        if not self.keys.admits(asked.token):
            return refusal(403, "this is not the token of the server that runs now")
        response = JSONResponse({})
        self.keys.give(response)
        return response

    # -- images and files -----------------------------------------------------------------------

    def images(self, request: Request) -> Response:
        """All images, the worst first, the ratings of all, and what metrics mean."""
        try:
            said = ratings.read(self.folder)
        except MriprepError as error:
            return refusal(500, str(error))
        self.known = {i.ident: i for i in find(self.folder)}
        return JSONResponse(
            {
                "folder": self.folder.name,
                "rater": self.rater,
                "overview": INDEX if files.within(self.folder, INDEX) else None,
                "metrics": legend(),
                "images": [summary(i) for i in self.known.values()],
                "ratings": [_plain(r) for r in said],
            }
        )

    def image(self, request: Request) -> Response:
        """All about one image."""
        image = self._image(request)
        if image is None:
            return refusal(404, "there is no such image")
        return JSONResponse(detail(self.folder, image))

    def template(self, request: Request) -> Response:
        """The template that an image lies on."""
        image = self._image(request)
        path = template_file(image.template, image.contrast) if image else None
        if path is None:
            return refusal(404, "the template is not on this machine")
        return files.answer(request, path)

    def file(self, request: Request) -> Response:
        """A file of the folder."""
        path = files.within(self.folder, request.path_params["path"])
        if path is None:
            return refusal(404, "there is no such file, or none that is served")
        if path == self.folder / INDEX:
            return files.overview(self.folder, path)
        return files.answer(request, path)

    # -- ratings --------------------------------------------------------------------------------

    async def rate(self, request: Request) -> Response:
        """Add a rating."""
        asked = await _content(request, NewRating)
        if isinstance(asked, Response):
            return asked
        return await run_in_threadpool(self._rated, asked)

    def _rated(self, asked: NewRating) -> Response:
        if not self._find(f"{asked.case}_{asked.contrast}"):
            return refusal(404, "there is no such image")
        try:
            done = ratings.append(self.folder, ratings.Rating(**asked.model_dump()))
        except MriprepError as error:
            return refusal(422 if error.code == "input" else 500, str(error))
        return JSONResponse(_plain(done), status_code=201)

    def _image(self, request: Request) -> Image | None:
        return self._find(request.path_params["ident"])

    def _find(self, ident: str) -> Image | None:
        if ident not in self.known:  # a cohort may be under way
            self.known = {i.ident: i for i in find(self.folder)}
        return self.known.get(ident)


def make_app(
    folder: Path,
    keys: Keys,
    *,
    rater: str | None = None,
    names: Iterable[str] = (),
    remote: bool = False,
) -> Starlette:
    """The application that :func:`mriprep.viewer.serve` runs.

    Parameters
    ----------
    folder : Path
        The folder of outputs.
    keys : Keys
        Its token.
    rater, names, remote
        As in :class:`Viewer` and :class:`.guard.Guard`.
    """
    return Starlette(
        routes=list(Viewer(folder, keys, rater).routes()),
        # Also where no route is: a path with a line's end in it fits none.
        exception_handlers={HTTPException: _refused},
        middleware=[Middleware(Guard, keys=keys, names=tuple(names), remote=remote)],
    )


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = refusal(error.status_code, error.detail)
    answer.headers.update(error.headers or {})
    return answer


async def _content(request: Request, kind: type[_Sent]) -> _Sent | Response:
    """What a request sends, checked; or why it is refused."""
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > LARGEST:
            return refusal(413, f"at most {LARGEST} bytes are accepted")
    try:
        return kind.model_validate(json.loads(content))
    except ValidationError as error:
        return refusal(422, first_of(error))
    except (ValueError, RecursionError):
        return refusal(400, "the content is not JSON")


def _shown(name: str, kind: str) -> Response:
    return FileResponse(STATIC / name, media_type=kind, headers={"cache-control": "no-cache"})


def _plain(rating: ratings.Rating) -> dict[str, Any]:
    return {c: getattr(rating, c) for c in ratings.COLUMNS}

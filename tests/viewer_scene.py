"""A small folder of outputs for tests of the viewer, and a server that serves it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import uvicorn

import mriprep as mp
from mriprep.core import Grid, Volume
from mriprep.viewer.app import make_app
from mriprep.viewer.guard import Keys

#: Of 4 mm, where a head in MNI152 lies.
GRID = Grid(
    (44, 52, 40), np.array([[4, 0, 0, -86], [0, 4, 0, -118], [0, 0, 4, -72], [0, 0, 0, 1.0]])
)


def outputs(folder: Path) -> Path:
    """Three cases; one with quality that is not good, one that stopped, one of two contrasts without."""
    grid = GRID
    places = np.indices(grid.shape, dtype=float)
    out = np.sqrt(
        sum(((places[i] - (n - 1) / 2) / (0.45 * n)) ** 2 for i, n in enumerate(grid.shape))
    )  # 1 at the surface of a head
    rng = np.random.default_rng(1)
    image = np.where(out < 1, 600 - 300 * out + 20 * rng.standard_normal(out.shape), 0)
    brain = Volume((out < 0.7).astype(np.uint8), grid, "mask")
    tissues = Volume(np.select([out < 0.3, out < 0.55, out < 0.7], [1, 3, 2], 0).astype(np.uint8),
                     grid, "labels")  # fmt: skip
    field = Volume((1 + 0.2 * out).astype(np.float32), grid)
    for case, contrasts in {"sub-01": ("T1w", "FLAIR"), "sub-02": ("T1w",)}.items():
        anat = folder / case / "anat"
        stem = f"{case}_space-MNI152NLin2009aSym_res-4mm"
        for factor, contrast in enumerate(contrasts, 1):
            scan = Volume((image * factor).astype(np.float32), grid)
            mp.write(scan, anat / f"{stem}_desc-preproc_{contrast}.nii.gz")
        mp.write(brain, anat / f"{stem}_desc-brain_mask.nii.gz")
        mp.write(field, anat / f"{case}_desc-biasfield_T1w.nii.gz")
        if case == "sub-02":
            mp.write(tissues, anat / f"{stem}_desc-tissues_dseg.nii.gz")
        else:
            for label, name in enumerate(("CSF", "GM", "WM"), 1):
                share = Volume((tissues.data == label).astype(np.float32), grid, "probability")
                mp.write(share, anat / f"{stem}_label-{name}_probseg.nii.gz")
        (folder / f"{case}_T1w.html").write_text(f"<!doctype html><title>report of {case}</title>")
    quality("sub-02", "T1w", folder, verdict="fail", site="A")
    quality("sub-03", "T1w", folder, verdict="fail", site="B", code="failed", level="fail")
    return folder


def quality(case: str, contrast: str, folder: Path, *, verdict: str, site: str, **reason) -> Path:
    """What is judged of an image."""
    about = {"code": "snr-low", "level": "fail", "says": "The signal is 2.1 times the noise.",
             "metric": "snr_total", "value": 2.1, "limit": 6.0, "picture": "brain"}  # fmt: skip
    path = folder / case / "anat" / f"{case}_{contrast}_quality.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "schema": 1, "case": case, "contrast": contrast, "recipe": "adult-t1", "verdict": verdict,
        "reasons": [{**about, **reason}], "scores": {"registration": 0.9},
        "metrics": {} if reason.get("code") == "failed" else {"snr_total": 2.1, "cjv": None},
        "missing": {"cjv": "no tissues"}, "facts": {"site": site, "age": 10, "PatientName": "X^Y"},
        "warnings": [], "seconds": 1.0, "report": f"{case}_{contrast}.html",
    }  # fmt: skip
    path.write_text(json.dumps(content))
    return path


@dataclass
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    body: bytes
    cookies: list[str] = field(default_factory=list)

    @property
    def data(self):
        return json.loads(self.body)


@dataclass
class Server:
    """A server of the viewer in a thread, asked byte by byte as it is told."""

    port: int
    keys: Keys

    @property
    def cookie(self) -> str:
        return f"{self.keys.cookie}={self.keys.value}"

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers) -> Answer:
        """Ask with the cookie; headers by name, ``_`` for ``-``, None leaves one out."""
        sent = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie}
        if method != "GET":
            sent |= {"Origin": self.origin, "Content-Type": "application/json"}
        sent |= {k.replace("_", "-"): v for k, v in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            said = connection.getresponse()
            content = said.read()
        finally:
            connection.close()
        cookies = said.headers.get_all("set-cookie") or []
        return Answer(said.status, {k.lower(): v for k, v in said.getheaders()}, content, cookies)

    def rate(self, **changed) -> Answer:
        """Rate an image."""
        rating = {"case": "sub-01", "contrast": "T1w", "rating": "pass", "note": "", "rater": "r"}
        return self.ask("/api/ratings", "POST", json.dumps(rating | changed).encode())


@contextmanager
def serving(folder: Path, **options) -> Iterator[Server]:
    """Serve a folder of outputs until the block ends."""
    import socket

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    keys = Keys(port)
    app = make_app(folder, keys, **options)
    config = uvicorn.Config(app, lifespan="off", log_level="error", ws="none", http="h11")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield Server(port, keys)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()

"""Listening: the socket, what is printed, the browser, and the end."""

from __future__ import annotations

import os
import socket
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

from mriprep.core import EngineMissing, InputError
from mriprep.outputs import folder_of_outputs

#: Where the page is, unless another port is asked for.
PORT = 8742
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    allow_remote: bool = False,
    rater: str | None = None,
    browser: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the page about a folder of outputs until Ctrl-C.

    Parameters
    ----------
    folder : Path
        A folder that `mriprep run` wrote to.
    host : str
        The address to listen at.
    port : int
        0 for one that is free.
    allow_remote : bool
        Must be said where `host` is not this machine's own.
    rater : str, optional
        The name that the page suggests.
    browser : bool
        Whether to open the browser.
    say : callable
        Prints a line.

    Raises
    ------
    InputError
        If the folder holds no images, the address is not this machine's own
        without `allow_remote`, or cannot be listened at.
    EngineMissing
        If the page was not built.
    """
    from mriprep import ratings

    from .app import STATIC, make_app
    from .guard import Keys

    folder = _checked(folder)
    ratings.read(folder)  # a table that cannot be added to is told now
    if rater is not None:
        ratings.Rating("sub-01", "T1w", "pass", rater=rater)  # so is a name that cannot be
    if not (STATIC / "index.html").is_file():
        raise EngineMissing(
            "the viewer's page is not built: it is not in a checkout of the source",
            hint="`make web` builds it (Node.js 20 or newer, from https://nodejs.org); wheels have"
            f" it. Reports need none of it: open the HTML files in '{folder}'",
        )
    remote = host not in _LOOPBACK
    if remote and not allow_remote:
        raise InputError(
            f"'{host}' is not this machine's own address: others of the network could reach the"
            " server",
            hint=f"from another machine: ssh -t -L {PORT}:127.0.0.1:{PORT} THIS_MACHINE; or add"
            " --allow-remote: the token is still asked for, but nothing is encrypted, so whoever"
            " can listen on the network sees the images and the token",
        )
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    keys = Keys(port)
    names = {host, socket.gethostname(), socket.getfqdn()} if remote else ()
    app = make_app(folder, keys, rater=rater, names=names, remote=remote)
    at = f"http://{_called(host)}:{port}/#token="

    def begun() -> None:
        say(f"{folder}: open  {at}{keys.token}")
        if remote:
            say("note: others of the network can reach this; nothing is encrypted")
        say("Ctrl-C ends it; ratings are on disk as soon as they are given")
        if browser and _has_screen():
            # How a browser is called is seen by all users of a machine: a token for one use.
            webbrowser.open(at + keys.once())

    _run(app, listening, begun)
    say("the viewer has ended")


def _run(app: object, listening: socket.socket, begun: Callable[[], None]) -> None:
    """Serve until a signal comes; `begun` is called once it listens."""
    import threading

    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            threading.Thread(target=begun, daemon=True).start()

    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    try:
        Server(config).run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn ends in order and then passes the signal on
        pass
    finally:
        listening.close()


def _checked(folder: Path) -> Path:
    from .images import find

    folder = folder_of_outputs(folder)
    if not find(folder):
        raise InputError(
            f"there are no images of mriprep in '{folder}'",
            hint="give the folder that `mriprep run` wrote to; it has sub-*/anat/*_desc-preproc_*.nii.gz",
        )
    return folder.resolve()


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InputError(
            f"'{host}' is no address of a machine: {error.strerror}",
            hint="leave --host out: the viewer then listens at 127.0.0.1",
        ) from None
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(128)
    except OSError as error:
        found.close()
        raise InputError(
            f"cannot listen at {host}, port {port}: {error.strerror}",
            hint="--port 0 takes a port that is free",
        ) from None
    return found


def _called(host: str) -> str:
    """A host in an address; all interfaces are called by this machine's name."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - asked for with --allow-remote
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _has_screen() -> bool:
    """Whether a browser would be seen; over ssh a browser of the terminal would take the terminal."""
    if sys.platform != "linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))

"""``mriprep view``: a page on this machine to go through a cohort and rate it.

:mod:`.images` says what a folder of outputs holds, :mod:`.judged` what was judged of it, :mod:`.guard` who may see
it, :mod:`.files` which files are served, :mod:`.app` answers, :mod:`.server`
listens. The page itself is made from ``web/`` and lies in ``static/``.
"""

from __future__ import annotations

from mriprep import ratings

from .server import serve

__all__ = ["ratings", "serve"]

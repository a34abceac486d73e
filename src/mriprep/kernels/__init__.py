"""The hot loops, compiled by numba and cached on disk. They see arrays and matrices, never files."""

from __future__ import annotations

import os
from pathlib import Path


def compiled() -> bool:
    """Whether kernels were compiled on this machine before; the first run does it, for seconds."""
    here = Path(__file__).parent
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    folders = (
        [Path(chosen)]
        if chosen
        else [here / "__pycache__", Path(os.path.expanduser("~/.cache/numba"))]
    )
    return any(next(f.rglob("*.nbi"), None) is not None for f in folders if f.is_dir())

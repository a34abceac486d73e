"""What a cohort is made of: cases listed from whatever INPUT is, and one of them opened.

:func:`list_cases` reads names and headers alone; what it gives is plain data
that can be sent to another process or machine. :func:`open_case` and
:func:`open_session` read the voxels of one.
"""

from __future__ import annotations

from .contrast import contrast_from_image
from .listing import list_cases
from .opening import open_case, open_session
from .source import CaseSource, ImageSource

__all__ = [
    "CaseSource",
    "ImageSource",
    "contrast_from_image",
    "list_cases",
    "open_case",
    "open_session",
]

"""DICOM to a volume."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mriprep import engines
from mriprep.core import Case
from mriprep.declare import Citation, step


@step(
    kind="dicom",
    methods="DICOM series were converted with {engine}.",
    citations=(
        Citation(
            "li2016",
            "Li X et al. The first step for neuroimaging data analysis: DICOM to NIfTI conversion."
            " J Neurosci Methods 2016.",
            "10.1016/j.jneumeth.2016.03.001",
        ),
    ),
    seconds_per_megavoxel=0.15,
)
def convert(
    source: Path | str,
    *,
    series: str | None = None,
    engine: Literal["dcm2niix", "dicom2nifti"] = "dcm2niix",
) -> Case:
    """Read a DICOM series from a folder or a zip, with what its header says of the scan.

    Parameters
    ----------
    source : Path or str
        A folder, searched with all that is below it, or a zip.
    series : str, optional
        Which series to take: its number, or a part of its description. Not
        needed where exactly one is a 3D anatomical scan.
    engine : {"dcm2niix", "dicom2nifti"}
        What converts.

    Returns
    -------
    Case
        The volume under its contrast; facts under the names of BIDS sidecars
        (times in seconds), age in years and sex. No names, dates or numbers
        of patients are taken over.

    Raises
    ------
    InputError
        If there is no DICOM, or several series could be meant; lists them.
    """
    from mriprep.io.dicom import read_dicom

    return read_dicom(source, engines.load("dicom", engine).convert, series=series)

"""What the tests of the command line share."""

from __future__ import annotations

import types

import pytest
from command_line import GRID, Said, box, image

import mriprep as mp


@pytest.fixture
def cli(capsys):
    """Run a command line in this process."""
    from mriprep.cli import main

    def run(*arguments) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        code = left.value.code
        return Said(code if isinstance(code, int) else 0, said.out, said.err)

    return run


@pytest.fixture
def scan(tmp_path):
    return mp.write(image(), tmp_path / "sub-01_T1w.nii.gz")


@pytest.fixture
def mask(tmp_path):
    return mp.write(box(), tmp_path / "mask.nii.gz")


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "cheap.yaml"
    path.write_text(
        "title: A cheap one\nsteps:\n- denoise\n- resample: {spacing: 2.0}\n- zscore\n"
        "- slices: {format: npy}\n"
    )
    return path


@pytest.fixture
def dicom(tmp_path):
    from mriprep.phantom.dicom import write_dicom

    phantom = types.SimpleNamespace(
        image=image(), grid=GRID, facts={"contrast": "T1w", "age_years": 7.5, "seed": 1}
    )
    return write_dicom(phantom, tmp_path / "exam")


@pytest.fixture
def pages_steps():
    """Let a folder's `mriprep/` add modules to the package's, as a checkout with these files would."""
    import mriprep.engines.bias
    import mriprep.steps
    from mriprep import declare

    with pytest.MonkeyPatch.context() as patch:

        def add(folder) -> None:
            for package, below in (
                (mriprep.steps, "steps"),
                (mriprep.engines.bias, "engines/bias"),
            ):
                where = str(folder / "src" / "mriprep" / below)
                patch.setattr(package, "__path__", [*package.__path__, where])
            declare.names.cache_clear()

        yield add
    declare.names.cache_clear()

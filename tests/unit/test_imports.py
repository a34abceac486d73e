"""What ``import mriprep`` and ``mriprep --help`` do not load, and how fast they are."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "torch", "itk", "SimpleITK", "nibabel", "scipy", "numba", "nilearn", "pydantic", "matplotlib",
    "pydicom", "rich", "yaml", "jinja2", "zarr", "h5py", "monai", "torchio",
}  # fmt: skip


def loaded(code: str) -> set[str]:
    script = (
        f"import sys\n{code}\nprint(*(m for m in sys.modules if '.' not in m), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split()) & HEAVY


@pytest.mark.parametrize(
    "code",
    [
        "import mriprep",
        "import mriprep; dir(mriprep)",
        "import mriprep.export.torchio, mriprep.export.nnunet",
        "import mriprep.cli",
        "import mriprep.cli.pipeline, mriprep.cli.look, mriprep.cli.step_commands",
        "import mriprep; mriprep.zscore, mriprep.resample, mriprep.register, mriprep.skullstrip",
        "import mriprep.cli\ntry: mriprep.cli.main(['--help'])\nexcept SystemExit: pass",
        "import mriprep.cli\ntry: mriprep.cli.main(['n4', '--help'])\nexcept SystemExit: pass",
        "import mriprep.cli\ntry: mriprep.cli.main(['run', '--help'])\nexcept SystemExit: pass",
        "import mriprep.cli\ntry: mriprep.cli.main(['export', '--help'])\nexcept SystemExit: pass",
        "import mriprep.cli\ntry: mriprep.cli.main(['freeze', '--help'])\nexcept SystemExit: pass",
        "import mriprep.cli\ntry: mriprep.cli.main(['verify', '--help'])\nexcept SystemExit: pass",
    ],
)
def test_nothing_heavy_is_loaded(code):
    assert loaded(code) == set()


def test_the_command_and_the_modules_are_the_same():
    runs = [
        subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True)
        for module in ("mriprep", "mriprep.cli")
    ]
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stdout.startswith("mriprep ")
    assert [r.returncode for r in runs] == [0, 0]

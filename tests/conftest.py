"""Fixtures that every test may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real scans; tests that need it are skipped where there is none."""
    folder = os.environ.get("MRIPREP_TEST_DATA")
    if not folder:
        pytest.skip("MRIPREP_TEST_DATA is not set: it names the folder of real scans")
    path = Path(folder).resolve()
    assert path.is_dir(), f"MRIPREP_TEST_DATA is not a folder: {path}"
    return path


@pytest.fixture(autouse=True)
def one_thread_of_torch() -> None:
    """Workers share the cores: threads of torch that a test before has left would wait for others'."""
    torch = sys.modules.get("torch")
    if torch is not None and "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many hostile inputs and power cuts were tried (tests/reliability)."""
    reports = [r for found in terminalreporter.stats.values() for r in found]
    counts = [
        number
        for report in reports
        if getattr(report, "when", None) == "teardown"
        for name, number in getattr(report, "user_properties", ())
        if name == "hostile cases"
    ]
    if counts:
        terminalreporter.write_line(f"reliability: {sum(counts)} hostile cases")

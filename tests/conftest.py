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


#: Files of tests that take tens of seconds each: begun last, they would be waited for.
LONG = (
    "test_real_scans.py",
    "test_docs_dataset.py",
    "test_docs_blocks.py",
    "test_docs_notebook.py",
    "test_real_session.py",
    "test_docs_sessions.py",
    "test_docs_site.py",
    "test_docs_pages.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first, the rest in its order: what is left at the end is short, and parted among workers."""
    items.sort(key=lambda item: item.path.name not in LONG)


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

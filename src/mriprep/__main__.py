"""``python -m mriprep``."""

from mriprep.cli import main

main()

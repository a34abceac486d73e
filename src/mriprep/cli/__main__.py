"""``python -m mriprep.cli``."""

from mriprep.cli import main

main()

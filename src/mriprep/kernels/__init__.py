"""The hot loops, compiled by numba and cached on disk. They see arrays and matrices, never files."""

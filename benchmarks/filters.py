"""The median filter against SciPy's: processor and wall time, two threads.

python benchmarks/filters.py
"""

from __future__ import annotations

import time

import numba
import numpy as np
from scipy import ndimage

import mriprep as mp
from mriprep.core import Volume
from mriprep.phantom import head


def timed(function):
    wall, processor = time.perf_counter(), time.process_time()
    result = function()
    return result, time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    scan = head("T1w", labels=False, spacing=1).image.data[60:100, 80:120]
    for dtype in (np.float32, np.int16):
        image = Volume(scan.astype(dtype), np.eye(4))
        for size in (3, 5, 7):
            mp.denoise(Volume(image.data[:8, :8, :8], np.eye(4)), size=size)  # compiled
            ours, wall, processor = timed(lambda i=image, s=size: mp.denoise(i, size=s).data)
            theirs, wall_2, processor_2 = timed(
                lambda i=image, s=size: ndimage.median_filter(i.data, s, mode="nearest")
            )
            assert np.array_equal(ours, theirs)
            print(
                f"{np.dtype(dtype)} {size}: {wall_2 / wall:.1f} times as fast,"
                f" {processor_2 / processor:.1f} in processor time"
            )


if __name__ == "__main__":
    main()

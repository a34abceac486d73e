"""The tissue maps that are shipped beside a template: how much grey and white matter is where."""

from __future__ import annotations

from functools import lru_cache

from mriprep.core import Role, Volume

from .fetch import _in_nilearn, _no_nilearn

#: What names of the world begin with that the maps lie in, or nearly.
WORLD = "MNI152"


@lru_cache(maxsize=1)
def tissue_maps() -> dict[str, Volume]:
    """Grey and white matter of the average adult brain: ``gm`` and ``wm``, fractions from 0 to 1.

    Fonov V et al. Unbiased nonlinear average age-appropriate brain templates
    from birth to adulthood. NeuroImage 2009.
    doi:10.1016/S1053-8119(09)70884-5

    Returns
    -------
    dict of str to Volume
        Probabilities in MNI152 mm (ICBM 2009a, symmetric). Kept in memory.

    Raises
    ------
    InputError
        If nilearn, which carries them, is not installed.
    """
    import numpy as np

    from mriprep.io.images import read_image

    image = _in_nilearn()
    if image is None:
        raise _no_nilearn()
    maps = {}
    for name in ("gm", "wm"):
        found = read_image(image.with_name(image.name.replace("_t1_", f"_{name}_")))
        values = found.floats()
        maps[name] = Volume(values / np.float32(values.max()), found.grid, Role.PROBABILITY)
    return maps

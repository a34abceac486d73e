"""At inference: a frozen recipe that is called on new scans, and brings predictions back."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .api import Pipeline, Run
from .back import Prediction, restore
from .core import InputError, Volume
from .io.given import expanded
from .recipe import load_frozen


@dataclass(frozen=True, repr=False)
class FrozenPipeline(Pipeline):
    """A frozen recipe: ``frozen(scan)`` does what was done in training, ``frozen.restore`` brings back.

    The way back is remembered of the last scan, in each thread its own; of
    earlier ones, keep the run: ``run.restore(prediction)``.
    """

    _last: threading.local = field(default_factory=threading.local, compare=False, kw_only=True)

    def __call__(self, *scan: Any, **given: Any) -> Run:
        """As :meth:`Pipeline.__call__`."""
        run = super().__call__(*scan, **given)
        self._last.record = run.record
        return run

    def restore(self, prediction: Prediction, **how: Any) -> Volume | tuple[Volume, ...]:
        """Bring what a network made of the last scan back to that scan's own grid.

        Parameters
        ----------
        prediction : Volume, array or path
            On the preprocessed grid.
        **how
            As of :func:`mriprep.restore`.

        Raises
        ------
        InputError
            If no scan was preprocessed in this thread yet.
        """
        record = getattr(self._last, "record", None)
        if record is None:
            raise InputError(
                "this recipe has preprocessed no scan yet in this thread: where is the prediction to go?",
                hint="keep the run, and ask it: run = frozen(scan); run.restore(prediction)",
            )
        return restore(prediction, record, **how)


def load(path: str | Path, *, strict: bool = False) -> FrozenPipeline:
    """Load a frozen recipe, ready to be called on new scans.

    Parameters
    ----------
    path : path
        The file that :func:`mriprep.freeze` or ``mriprep freeze`` wrote.
    strict : bool
        Refuse to load where mriprep or an engine has another version than in
        training; otherwise it is told.

    Raises
    ------
    InputError
        If the file is not as it was written, or templates or weights on this
        machine have another SHA-256 than those of training.

    Examples
    --------
    >>> frozen = load("model.recipe")  # doctest: +SKIP
    >>> run = frozen("scan.nii.gz")  # doctest: +SKIP
    >>> run.restore(network(run.image.data))  # doctest: +SKIP
    """
    found = expanded(path)
    if not found.is_file():
        raise InputError(
            f"there is no frozen recipe '{found}'", hint="make one: mriprep freeze OUT model.recipe"
        )
    return FrozenPipeline(load_frozen(found, strict=strict))

"""Fitting a normaliser on a cohort: images in, a frozen state out."""

from __future__ import annotations

import functools
import importlib
import inspect
import typing
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from . import declare
from .core import Case, InputError, MriprepError, MriprepWarning, RecipeError, Role, Volume
from .core.errors import nearest
from .declare import Parameter
from .record import named, public, voxel_hash
from .signature import Docs
from .steps._cohort import Member
from .steps._state_use import contrast_of, kind_of
from .steps._states import State, read_state

__all__ = ["Member", "State", "fit", "fit_members", "kinds", "parameters", "read_state", "title"]

Within = Volume | str | Path | None


@functools.cache
def kinds() -> tuple[str, ...]:
    """The steps that are fitted on a cohort."""
    return tuple(n for n in declare.names() if "state" in declare.get(n).parameters)


def parameters(kind: str) -> dict[str, Parameter]:
    """How a normaliser is fitted: the parameters of its fit, as its signature declares them."""
    function = _fit_of(kind)
    hints = typing.get_type_hints(function, include_extras=True)
    docs = Docs(function)
    return {
        p.name: Parameter(p.name, hints[p.name], p.default, docs.of(p.name))
        for p in inspect.signature(function).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    }


def title(kind: str) -> str:
    """What is fitted, in a line."""
    return Docs(_fit_of(kind)).title


def _fit_of(kind: str) -> Any:
    if kind not in kinds():
        raise RecipeError(f"there is no normaliser '{kind}' to fit", hint=nearest(kind, kinds()))
    return importlib.import_module(f"mriprep.steps.{kind}").fit


def fit(
    kind: str,
    images: Iterable[Volume | str | Path],
    masks: Iterable[Volume | str | Path] | Literal["foreground", "whole"] | None = None,
    *,
    tissues: Iterable[Volume | str | Path] | None = None,
    cases: Sequence[str] | None = None,
    facts: Iterable[Mapping[str, Any]] | None = None,
    split: str = "",
    **how: Any,
) -> State:
    """Fit a normaliser on a cohort.

    Images are read one by one, and no more than the fit needs is kept. Fit
    on the training part alone: the state remembers what it was fitted on, and
    an export refuses it where that was validation or test.

    Parameters
    ----------
    kind : str
        ``nyul``, ``least_squares``, ``match_histogram``, ``ravel`` or ``combat``.
    images : iterable of Volume or path
        The cohort's images, of one contrast.
    masks : iterable of Volume or path, or {"foreground", "whole"}, optional
        A mask for each, on its grid; what Otsu's threshold keeps without.
    tissues : iterable of Volume or path, optional
        Labels for each: 1 CSF, 2 grey matter, 3 white matter. For
        ``least_squares`` and ``ravel``.
    cases : sequence of str, optional
        Their names; from the names of the files otherwise.
    facts : iterable of mapping, optional
        ``site``, ``age`` and ``sex`` of each, for ``combat`` (and ``ravel``).
    split : str
        What part of a split these are, for the state's file: "train fold 0".
    **how
        Parameters of the fit: ``mriprep fit KIND --help`` lists them.

    Returns
    -------
    State
        ``state.write("nyul.json")``; ``mriprep.nyul(image, mask, state=state)``.

    Raises
    ------
    InputError
        If an image cannot be used (it is named), or they do not belong together.
    RecipeError
        For a kind or a parameter that there is not.

    Examples
    --------
    >>> from mriprep.phantom import head
    >>> scans = [head(spacing=8, seed=s) for s in (1, 2)]
    >>> state = fit("nyul", [s.image for s in scans], [s.brain for s in scans], cases=["a", "b"])
    >>> state
    <State nyul, fitted on 2 images>
    """
    return fit_members(kind, _members(images, masks, tissues, cases, facts), split=split, **how)


def fit_members(kind: str, members: Iterable[Member], *, split: str = "", **how: Any) -> State:
    """As :func:`fit`, of :class:`Member`, which may come from anywhere."""
    known = parameters(kind)
    for name in how:
        if name not in known:
            raise RecipeError(
                f"fit {kind} has no parameter '{name}'",
                hint=nearest(name, known) if known else "it takes none",
            )
    given = {n: p.validate(how.get(n, p.default), f"fit {kind}") for n, p in known.items()}
    seen: list[tuple[str, str]] = []
    contrasts: set[str] = set()
    regions: set[str] = set()
    labelled: set[bool] = set()
    current: list[str] = []

    def watched() -> Iterator[Member]:
        for member in members:
            current[:] = [member.name]
            _new(member, seen, kind)
            contrasts.add(contrast_of(member.image))
            regions.add(kind_of(member.within))
            labelled.add(member.tissues is not None)
            if len(contrasts) > 1:
                names = ", ".join(sorted(c or "unknown" for c in contrasts))
                raise InputError(
                    f"fit {kind}: the images are of several contrasts: {names}",
                    hint="fit a state for each contrast",
                )
            yield member
            current.clear()

    try:
        values = _fit_of(kind)(watched(), **given)
    except MriprepError as error:
        if current and current[0] not in error.message:
            error.message = f"{current[0]}: {error.message}"
        raise
    if len(labelled) > 1:
        raise InputError(
            f"fit {kind}: some images have labels of tissues, and others have none",
            hint="give them for all images, or for none",
        )
    own = given.get("contrast", "auto")
    about = {"within": regions.pop() if len(regions) == 1 else "mixed", "tissues": labelled.pop()}
    return State(
        kind,
        values,
        tuple(seen),
        split,
        next(iter(contrasts)) or (own if own != "auto" else ""),
        public({**named(given), **about}),
        version("mriprep"),
    )


def _new(member: Member, seen: list[tuple[str, str]], kind: str) -> None:
    """Note an image; the same one twice is told, a name twice is refused."""
    digest = voxel_hash(member.image)
    for name, other in seen:
        if name == member.name:
            raise InputError(
                f"fit {kind}: two images are called '{name}'",
                hint="give each case one image and its own name",
            )
        if digest == other:
            warnings.warn(
                f"fit {kind}: {name} and {member.name} are the same image, which counts twice",
                MriprepWarning,
                stacklevel=6,
            )
    seen.append((member.name, digest))


_END = object()


def _members(
    images: Iterable[Volume | str | Path],
    masks: Any,
    tissues: Iterable[Volume | str | Path] | None,
    cases: Sequence[str] | None,
    facts: Iterable[Mapping[str, Any]] | None,
) -> Iterator[Member]:
    """The members of a cohort, read one by one; lists of different length are refused."""
    if isinstance(images, Volume | str | Path):
        raise InputError(
            "fit: images must be several, got one", hint='give a list: fit("nyul", [one, two])'
        )
    if isinstance(masks, str) and masks not in ("foreground", "whole"):
        raise InputError(
            f"fit: masks = {masks!r} is not accepted",
            hint="give a list of masks, or foreground or whole for all images",
        )
    per_image = {
        "masks": None if isinstance(masks, str) else masks,
        "tissues": tissues,
        "cases": cases,
        "facts": facts,
    }
    others = {name: iter(given) for name, given in per_image.items() if given is not None}
    number = 0
    for number, image in enumerate(images, 1):
        beside: dict[str, Any] = {}
        for name, given in others.items():
            beside[name] = next(given, _END)
            if beside[name] is _END:
                raise InputError(f"fit: there are fewer {name} than images")
        volume = _read(image, Role.IMAGE)
        mask, labels = beside.get("masks"), beside.get("tissues")
        within: Any = masks if isinstance(masks, str) else None
        if mask is not None:
            within = _read(mask, Role.MASK)
        yield Member(
            str(beside.get("cases") or _name(image, number)),
            volume,
            within,
            None if labels is None else _read(labels, Role.LABELS),
            beside.get("facts") or {},
        )
    for name, given in others.items():
        if next(given, _END) is not _END:
            raise InputError(f"fit: there are more {name} than images ({number})")


def _read(given: Volume | str | Path, role: Role) -> Volume:
    if isinstance(given, Volume):
        if role is not Role.IMAGE and given.role is not role:
            return given.replace(given.data > 0 if role is Role.MASK else given.data, role=role)
        return given
    if not isinstance(given, str | Path):
        raise InputError(
            f"fit: an image must be a Volume or a path, got {type(given).__name__}",
            hint="wrap an array: Volume(array, affine) says where its voxels lie",
        )
    from .intake import read

    found = read(given, role=role)
    if isinstance(found, Case):
        raise InputError(
            f"fit: '{Path(given).name}' holds several images", hint="give a file for each case"
        )
    return found


def _name(image: Any, number: int) -> str:
    if isinstance(image, Volume):
        return f"image-{number}"
    from .intake import case_name

    return case_name(Path(image), f"image{number}")

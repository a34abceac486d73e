"""One subject's scans of one session, with what is known about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .errors import InputError, nearest
from .volume import Volume

#: The order in which a contrast is taken as the one that others follow.
PREFERRED_CONTRASTS = ("T1w", "T1c", "T2w", "FLAIR", "PDw", "image")


def check_contrasts(names: Iterable[str]) -> None:
    """Refuse names of contrasts that files cannot be named after.

    Raises
    ------
    InputError
        If one has other characters than letters and digits, or two differ by
        case alone, which some disks take for one.
    """
    seen: dict[str, str] = {}
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9]{1,64}", name):
            raise InputError(
                f"{name[:80]!r} cannot be the name of a contrast",
                hint="letters and digits, as in T1w or FLAIR: files are named after it",
            )
        if (other := seen.setdefault(name.lower(), name)) != name:
            raise InputError(
                f"the contrasts '{other}' and '{name}' differ by upper and lower case alone",
                hint="give one of them another name: to some disks both are one",
            )


@dataclass(frozen=True, eq=False)
class Case(Mapping[str, Volume]):
    """Volumes by contrast, for instance ``case["T1w"]``.

    Parameters
    ----------
    name : str
        A label for file names; never a patient's name.
    volumes : mapping of str to Volume
        One volume a contrast (BIDS suffix: ``T1w``, ``T2w``, ``FLAIR``, ...;
        ``image`` where it is unknown).
    facts : mapping, optional
        What the header says, under the names of BIDS sidecars: ``Modality``,
        ``RepetitionTime`` (s), ``EchoTime`` (s), ``InversionTime`` (s),
        ``MagneticFieldStrength`` (T), ``sex``; ``age`` (years) or
        ``age_group`` (``adult``), and ``age_from``, which says where it
        comes from.
    """

    name: str
    volumes: Mapping[str, Volume]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w+-]*", self.name):
            raise InputError(
                f"'{self.name}' cannot be a case's name",
                hint="letters, digits, - and _, as in 'sub-01_ses-2': files are named after it",
            )
        if not self.volumes:
            raise InputError(f"case '{self.name}' holds no volume")
        check_contrasts(self.volumes)
        object.__setattr__(self, "volumes", MappingProxyType(dict(self.volumes)))
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))

    def __getitem__(self, contrast: str) -> Volume:
        try:
            return self.volumes[contrast]
        except KeyError:
            raise InputError(
                f"case '{self.name}' has no {contrast}", hint=nearest(contrast, self.volumes)
            ) from None

    def get(self, contrast: str, default: Any = None) -> Any:
        """The volume of a contrast, or `default`."""
        return self.volumes.get(contrast, default)

    def __contains__(self, contrast: object) -> bool:
        return contrast in self.volumes

    def __iter__(self) -> Iterator[str]:
        return iter(self.volumes)

    def __len__(self) -> int:
        return len(self.volumes)

    @property
    def reference(self) -> str:
        """The contrast that a recipe works on when none is named."""
        for contrast in PREFERRED_CONTRASTS:
            if contrast in self.volumes:
                return contrast
        return next(iter(self.volumes))

    def __reduce__(self) -> tuple[Any, ...]:
        return Case, (self.name, dict(self.volumes), dict(self.facts))

    def __repr__(self) -> str:
        return f"<Case {self.name}: {', '.join(f'{k} {v.grid}' for k, v in self.volumes.items())}>"

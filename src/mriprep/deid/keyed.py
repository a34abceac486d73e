"""New names for old: made with a secret, so that nobody without it can go back."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from dataclasses import dataclass, field

from mriprep.core import InputError

_SHORTEST = 16
#: No vowels and no letters of hexadecimal numbers alone: a code never spells a name.
_LETTERS = "bcdfghjkmnpqrstvwxz"


@dataclass(frozen=True)
class Keyed:
    """What old values become. The same secret gives the same values.

    Parameters
    ----------
    secret : bytes, optional
        At least 16 bytes; drawn anew if left out.
    """

    secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < _SHORTEST:
            raise InputError(
                f"the secret has {len(self.secret)} bytes; {_SHORTEST} or more are needed,"
                " or codes could be guessed back",
                hint="make one: head -c 32 /dev/urandom > secret.bin",
            )

    def number(self, kind: str, value: str) -> int:
        """A number of 128 bits for a value."""
        told = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hmac.new(self.secret, told, hashlib.sha256).digest()[:16], "big")

    def code(self, kind: str, value: str, length: int = 10) -> str:
        """A code of small letters."""
        number, letters = self.number(kind, value), ""
        for _ in range(length):
            number, at = divmod(number, len(_LETTERS))
            letters += _LETTERS[at]
        return letters

    def uid(self, value: str) -> str:
        """A UID in place of another (PS3.5 B.2: 2.25 and a UUID as a number)."""
        number = self.number("uid", value)
        # The bits that make it a UUID of version 8, one of custom making (RFC 9562).
        number = number & ~(0xF << 76) | 8 << 76
        number = number & ~(0x3 << 62) | 2 << 62
        return f"2.25.{number}"

    def days(self, subject: str) -> int:
        """How many days the dates of a subject are moved back: 365 to 3650."""
        return 365 + self.number("days", subject) % 3286

    def subject(self, told: str) -> str:
        """The code of a subject, whether the identifier comes from DICOM or from a BIDS name."""
        return self.code("subject", re.sub(r"[\W_]", "", told).lower())

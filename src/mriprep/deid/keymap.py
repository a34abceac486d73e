"""The way back, for its owner alone: which code is whose, encrypted with a passphrase."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mriprep.core import EngineMissing, InputError
from mriprep.io.atomic import atomic_path
from mriprep.io.strict_json import load_json

_SHORTEST = 12
#: Cost of scrypt: about a tenth of a second and 32 MiB a guess.
_COST = {"n": 2**15, "r": 8, "p": 1}
_KIND = "mriprep de-identification map"


def write_map(content: Mapping[str, Any], path: Path, passphrase: str) -> None:
    """Write a map, encrypted (scrypt, AES-256-GCM), for its owner alone to read.

    Raises
    ------
    InputError
        If the passphrase is too short.
    EngineMissing
        If the package `cryptography` is not installed.
    """
    check_passphrase(passphrase)
    salt, nonce = os.urandom(16), os.urandom(12)
    data = json.dumps(content).encode()
    sealed = _cipher(passphrase, salt, _COST).encrypt(nonce, data, _KIND.encode())
    told = {
        "kind": _KIND,
        "scrypt": _COST,
        "salt": _text(salt),
        "nonce": _text(nonce),
        "sealed": _text(sealed),
    }
    with atomic_path(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.chmod(0o600)
        temporary.write_text(json.dumps(told) + "\n", "utf-8")


def read_map(path: str | os.PathLike[str], passphrase: str) -> dict[str, Any]:
    """Read a map that :func:`deidentify` kept.

    Parameters
    ----------
    path : path
        The file.
    passphrase : str
        With which it was written.

    Returns
    -------
    dict
        ``subjects`` (by code: identifier, name, days by which dates were moved
        back), ``files`` (new name to old), ``held_back`` (names and reasons)
        and ``secret`` (hexadecimal), with which the same codes can be made again.

    Raises
    ------
    InputError
        If it is no map, or the passphrase is another.
    EngineMissing
        If the package `cryptography` is not installed.
    """
    try:
        told = load_json(path)
        if told["kind"] != _KIND or told["scrypt"] != _COST:
            raise ValueError
        salt, nonce, sealed = (base64.b64decode(told[k]) for k in ("salt", "nonce", "sealed"))
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{path} is no map of `mriprep deidentify`", hint="give the file of --map"
        ) from None
    cipher = _cipher(passphrase, salt, _COST)
    from cryptography.exceptions import InvalidTag

    try:
        content: dict[str, Any] = json.loads(cipher.decrypt(nonce, sealed, _KIND.encode()))
    except InvalidTag:
        raise InputError(
            "the map does not open: another passphrase, or the file was changed",
            hint="give the passphrase with which it was written",
        ) from None
    return content


def check_passphrase(passphrase: str | None) -> None:
    """Refuse a passphrase that is none.

    Raises
    ------
    InputError
        If it is missing or too short.
    EngineMissing
        If the package `cryptography` is not installed.
    """
    if not passphrase or len(passphrase) < _SHORTEST:
        raise InputError(
            f"a map needs a passphrase of {_SHORTEST} characters or more",
            hint="set MRIPREP_MAP_PASSPHRASE, or answer when you are asked",
        )
    _needed()


def _needed() -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers import aead
    except ImportError:
        raise EngineMissing(
            "a map is encrypted by the package cryptography, which is not installed",
            hint="pip install 'mriprep[deidentify]', or keep no map",
        ) from None
    return aead


def _cipher(passphrase: str, salt: bytes, cost: Mapping[str, int]) -> Any:
    aead = _needed()
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    key = Scrypt(salt=salt, length=32, n=cost["n"], r=cost["r"], p=cost["p"])
    return aead.AESGCM(key.derive(passphrase.encode()))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()

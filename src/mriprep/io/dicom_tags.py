"""A fast reader of the few elements that a scan of DICOM files needs.

It knows classic files in explicit or implicit little endian, which is nearly
all there is, and gives up (:class:`Unusual`) on everything else, for which
pydicom is asked. Values come as pydicom gives them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

#: Enough of nearly every file; what needs more than the second is unusual.
FIRST_BYTES = 16 * 2**10
MOST_BYTES = 256 * 2**10

_IMPLICIT = "1.2.840.10008.1.2"
_EXPLICIT = "1.2.840.10008.1.2.1"
#: Compressed pixels in an explicit little endian data set (JPEG, JPEG-LS, JPEG 2000, HTJ2K, RLE).
_COMPRESSED = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5")

#: Tag and value representation of each element that can be asked for.
ELEMENTS: Mapping[str, tuple[int, str]] = {
    "SpecificCharacterSet": (0x00080005, "CS"),
    "ImageType": (0x00080008, "CS"),
    "SOPClassUID": (0x00080016, "UI"),
    "SOPInstanceUID": (0x00080018, "UI"),
    "StudyDate": (0x00080020, "DA"),
    "SeriesDate": (0x00080021, "DA"),
    "StudyTime": (0x00080030, "TM"),
    "Modality": (0x00080060, "CS"),
    "Manufacturer": (0x00080070, "LO"),
    "SeriesDescription": (0x0008103E, "LO"),
    "ManufacturerModelName": (0x00081090, "LO"),
    "AcquisitionContrast": (0x00089209, "CS"),
    "PatientName": (0x00100010, "PN"),
    "PatientID": (0x00100020, "LO"),
    "PatientBirthDate": (0x00100030, "DA"),
    "PatientSex": (0x00100040, "CS"),
    "PatientAge": (0x00101010, "AS"),
    "ContrastBolusAgent": (0x00180010, "LO"),
    "ScanningSequence": (0x00180020, "CS"),
    "SequenceVariant": (0x00180021, "CS"),
    "MRAcquisitionType": (0x00180023, "CS"),
    "SequenceName": (0x00180024, "SH"),
    "SliceThickness": (0x00180050, "DS"),
    "RepetitionTime": (0x00180080, "DS"),
    "EchoTime": (0x00180081, "DS"),
    "InversionTime": (0x00180082, "DS"),
    "EchoNumbers": (0x00180086, "IS"),
    "MagneticFieldStrength": (0x00180087, "DS"),
    "ProtocolName": (0x00181030, "LO"),
    "FlipAngle": (0x00181314, "DS"),
    "EchoPulseSequence": (0x00189008, "CS"),
    "EchoPlanarPulseSequence": (0x00189018, "CS"),
    "DiffusionBValue": (0x00189087, "FD"),
    "StudyInstanceUID": (0x0020000D, "UI"),
    "SeriesInstanceUID": (0x0020000E, "UI"),
    "SeriesNumber": (0x00200011, "IS"),
    "AcquisitionNumber": (0x00200012, "IS"),
    "InstanceNumber": (0x00200013, "IS"),
    "ImagePositionPatient": (0x00200032, "DS"),
    "ImageOrientationPatient": (0x00200037, "DS"),
    "SamplesPerPixel": (0x00280002, "US"),
    "NumberOfFrames": (0x00280008, "IS"),
    "Rows": (0x00280010, "US"),
    "Columns": (0x00280011, "US"),
    "PixelSpacing": (0x00280030, "DS"),
    "BitsAllocated": (0x00280100, "US"),
}
#: Siemens: number of slices in a mosaic.
MOSAIC_COUNT = 0x0019_100A

_WANTED = {tag for tag, _ in ELEMENTS.values()} | {MOSAIC_COUNT}
_LAST = 0x00280100
_TEXT = {"CS", "LO", "SH", "PN", "UI", "DA", "AS", "TM"}
_LONG = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UR", b"UT", b"UN", b"SV", b"UV"}
#: Value representations, and whether their length takes four bytes.
_IS_LONG = {
    **dict.fromkeys(_LONG, True),
    **dict.fromkeys(
        (
            b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO", b"LT",
            b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
        ),
        False,
    ),
}  # fmt: skip
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_SETS = {"": "ascii", "ISO_IR 6": "ascii", "ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8"}
#: Data sets of these classes keep geometry and timing in functional groups.
_ENHANCED = (
    b"1.2.840.10008.5.1.4.1.1.4.1",
    b"1.2.840.10008.5.1.4.1.1.4.3",
    b"1.2.840.10008.5.1.4.1.1.4.4",
)

_EXPLICIT_HEAD = struct.Struct("<HH2sH")
_IMPLICIT_HEAD = struct.Struct("<HHI")
_LENGTH = struct.Struct("<I")


class Unusual(Exception):
    """The file is of a kind that this reader leaves to pydicom."""


class Short(Unusual):
    """The bytes end before the header does: read on."""


class Elements:
    """The elements that were found, in the manner of a pydicom data set.

    Parameters
    ----------
    raw : dict of int to (bytes, bytes)
        Value and value representation (empty in implicit files) of each tag.
    syntax : str
        TransferSyntaxUID.
    """

    __slots__ = ("_charset", "raw", "syntax")

    def __init__(self, raw: dict[int, tuple[bytes, bytes]], syntax: str) -> None:
        self.raw, self.syntax = raw, syntax
        self._charset = ""
        named = self.get("SpecificCharacterSet")
        if named is not None:
            if not isinstance(named, str) or named not in _SETS:
                raise Unusual
            self._charset = named

    def get(self, keyword: str | int, default: Any = None) -> Any:
        """A value, or `default`; by number, an object with a ``value``."""
        if isinstance(keyword, int):
            found = self.raw.get(keyword)
            return default if found is None else SimpleNamespace(value=_private(*found))
        known = ELEMENTS.get(keyword)
        found = self.raw.get(known[0]) if known else None
        if known is None or found is None:
            return default
        value, told = found[0], found[1].decode("latin-1") or known[1]
        if told != known[1]:
            raise Unusual
        return _value(value, told, _SETS[self._charset])

    def key(self, tags: Iterable[int]) -> tuple[tuple[bytes, bytes] | None, ...]:
        """The raw values of elements, to recognise files that agree in them."""
        return tuple(map(self.raw.get, tags))


def read_elements(data: bytes) -> Elements:
    """Read the first bytes of a DICOM file.

    Parameters
    ----------
    data : bytes
        From the beginning of the file (the preamble) on.

    Raises
    ------
    Short
        If the header goes on beyond them.
    Unusual
        If it is a file for pydicom.
    """
    try:
        syntax, at = _meta(data)
        explicit = syntax != _IMPLICIT
        if explicit and syntax != _EXPLICIT and not syntax.startswith(_COMPRESSED):
            raise Unusual  # deflated, big endian, or nobody's
        if data[at + 4 : at + 6].isalpha() is not explicit:
            raise Unusual  # the data set is not what the file says of it
        raw = _walk(data, at, explicit)
    except (struct.error, IndexError):
        raise Short from None
    except RecursionError:
        raise Unusual from None
    frames, kind = raw.get(0x00280008), raw.get(0x00080016)
    if frames and frames[0].strip(b" \0") not in (b"", b"1"):
        raise Unusual
    if kind and kind[0].rstrip(b" \0") in _ENHANCED:
        raise Unusual
    return Elements(raw, syntax)


def _meta(data: bytes) -> tuple[str, int]:
    """Transfer syntax, and where the data set begins."""
    if data[128:132] != b"DICM":
        raise Unusual
    at, syntax = 132, None
    while True:
        group, element, vr, length = _EXPLICIT_HEAD.unpack_from(data, at)
        if group != 2:
            break
        at += 8
        if vr in _LONG:
            (length,) = _LENGTH.unpack_from(data, at)
            at += 4
        if element == 0x10:
            syntax = data[at : at + length].rstrip(b"\0 ").decode("latin-1")
        at += length
    if syntax is None:
        raise Unusual
    return syntax, at


def _walk(data: bytes, at: int, explicit: bool) -> dict[int, tuple[bytes, bytes]]:
    """Values of the wanted elements at the top of a data set."""
    raw: dict[int, tuple[bytes, bytes]] = {}
    before, size = 0, len(data)
    while True:
        if explicit:
            group, element, vr, length = _EXPLICIT_HEAD.unpack_from(data, at)
            at += 8
            is_long = _IS_LONG.get(vr)
            if is_long:
                (length,) = _LENGTH.unpack_from(data, at)
                at += 4
            elif is_long is None:
                raise Unusual
        else:
            group, element, length = _IMPLICIT_HEAD.unpack_from(data, at)
            at, vr = at + 8, b""
        tag = group << 16 | element
        if tag > _LAST:
            return raw
        if tag <= before:
            raise Unusual  # out of order: damaged, or not what it seems
        before = tag
        if length == _UNDEFINED:
            if vr == b"UN":
                raise Unusual
            at = _skip(data, at, explicit)
            continue
        if at + length > size:
            raise Short
        if tag in _WANTED:
            raw[tag] = (data[at : at + length], vr)
        at += length


def _skip(data: bytes, at: int, explicit: bool) -> int:
    """Where a sequence of undefined length ends."""
    while True:
        group, element, length = _IMPLICIT_HEAD.unpack_from(data, at)
        tag, at = group << 16 | element, at + 8
        if tag == _SEQUENCE_END:
            return at
        if tag != _ITEM:
            raise Unusual
        at = _skip_item(data, at, explicit) if length == _UNDEFINED else at + length


def _skip_item(data: bytes, at: int, explicit: bool) -> int:
    while True:
        group, element, length = _IMPLICIT_HEAD.unpack_from(data, at)
        tag = group << 16 | element
        if tag == _ITEM_END:
            return at + 8
        at += 8
        vr = b""
        if explicit:
            vr = data[at - 4 : at - 2]
            if vr in _LONG:
                (length,) = _LENGTH.unpack_from(data, at)
                at += 4
            else:
                length >>= 16
        if length == _UNDEFINED:
            if vr == b"UN":
                raise Unusual
            at = _skip(data, at, explicit)
        else:
            at += length


def _value(raw: bytes, vr: str, charset: str) -> Any:
    if vr == "US":
        if len(raw) != 2:
            raise Unusual
        return raw[0] | raw[1] << 8
    if vr == "FD":
        return struct.unpack("<d", raw)[0] if len(raw) == 8 else None
    try:
        if b"\x1b" in raw:
            raise Unusual
        text = raw.decode(charset if vr in ("LO", "SH", "PN") else "ascii").rstrip("\0 ")
    except UnicodeDecodeError:
        raise Unusual from None
    if "\0" in text:
        raise Unusual
    if vr in _TEXT:
        if "\\" in text and vr != "PN":
            return [part.rstrip(" ") for part in text.split("\\")]
        return text
    try:
        numbers = [float(part) for part in text.split("\\")] if text.strip() else []
    except ValueError:
        raise Unusual from None
    if not numbers:
        return None
    if vr == "IS":
        if not all(n.is_integer() for n in numbers):
            raise Unusual
        numbers = [int(n) for n in numbers]
    return numbers[0] if len(numbers) == 1 else numbers


def _private(raw: bytes, vr: bytes) -> Any:
    if vr == b"IS":
        return _value(raw, "IS", "ascii")
    return raw

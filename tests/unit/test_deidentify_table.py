"""Line by line: table E.1-1 of DICOM PS3.15, and what survives of it."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

import mriprep as mp
from deid_scene import SECRET, ball
from mriprep.deid.allowed import CODES, OPTIONS, keywords
from mriprep.phantom import write_dicom

TABLE = Path(__file__).with_name("ps3_15_table_e1_1.txt")
#: Descriptions of which known words are kept (Clean Descriptors Option, always), by the table.
DESCRIBED = {"SeriesDescription", "ProtocolName", "ContrastBolusAgent"}
#: Dates that newer editions list, of which the option's column is not at hand.
LATER = {"FrameAcquisitionDateTime", "FrameReferenceDateTime"}
#: What mriprep writes into listed attributes by itself: empty, or the subject's new code.
OWN = {"PatientName", "PatientID"}
#: Where in a file a listed attribute may stand: at the top, and in sequences that stay.
SEQUENCES = ("SharedFunctionalGroupsSequence", "FrameContentSequence")


def table():
    """Blocks of the list: their title, and the tags as hexadecimal digits."""
    text = re.sub(r"^#.*\n", "", TABLE.read_text("ascii"), flags=re.M)
    found = re.findall(r"\[(.+?)\]\n([^\[]+)", text)
    return {title: tags.split() for title, tags in found}


BLOCKS = table()
ACTIONS = {t: title.split()[1] for title, tags in BLOCKS.items() for t in tags if "action" in title}


def tag_of(digits):
    return pydicom.tag.Tag(int(digits.replace("x", "0").replace("50000000", "50003000"), 16))


def listed(title):
    return {keyword_for_tag(tag_of(t)) for t in BLOCKS.get(title, ())} - {""}


def vr_of(tag):
    try:
        return dictionary_VR(tag).split(" or ")[0]
    except KeyError:
        return "LO"  # newer than the dictionary, or of a group of its own


NUMBER = itertools.count(11)


def value(vr):
    """A value that its kind of attribute may have, and that no other attribute has here."""
    n = next(NUMBER)
    if vr == "SQ":
        item = Dataset()
        item.CodeValue, item.CodeMeaning, item.PatientName = f"Q{n}", f"Qz{n}", f"Qz^{n}"
        return [item]
    return {
        "UI": f"1.2.3.{n}", "PN": f"Qz{n}^A", "DA": f"2{n % 1000:03d}0203", "TM": f"0102{n % 60:02d}.{n:04d}",
        "DT": f"2{n % 1000:03d}0203010203", "AS": f"{n % 80:03d}Y", "CS": "YES", "DS": f"{n}.5", "IS": str(n),
        "AT": 0x00100000 + n, "FL": n + 0.5, "FD": n + 0.5,
        **dict.fromkeys(("US", "SS", "UL", "SL", "UV", "SV"), n),
        **dict.fromkeys(("OB", "OW", "OL", "OF", "OD", "OV", "UN"), f"Qz{n:08d}".encode() * 4),
    }.get(vr, f"T1 Qz{n}")  # fmt: skip


def fill(ds, plain):
    """Write every attribute of the table into a data set; those of a file's own groups apart."""
    for digits in ACTIONS:
        tag = tag_of(digits)
        if tag.group in (0x0000, 0x0002):
            continue
        vr = vr_of(tag)
        keyword = keyword_for_tag(tag)
        new = "T1 sag" if plain and keyword in DESCRIBED else value(vr)
        ds.add_new(tag, vr, new)


@pytest.fixture(scope="module")
def exam(tmp_path_factory):
    """A series of one image that carries every attribute of the table, three times over."""
    folder = write_dicom(ball((40, 48, 1)), tmp_path_factory.mktemp("table") / "exam")
    (file,) = folder.iterdir()
    ds = pydicom.dcmread(file)
    kept = {k: ds[k] for k in ("SOPClassUID",)}
    fill(ds, plain=True)
    outer, inner = Dataset(), Dataset()
    fill(inner, plain=False)
    fill(outer, plain=False)
    setattr(outer, SEQUENCES[1], [inner])
    setattr(ds, SEQUENCES[0], [outer])
    for element in kept.values():
        ds[element.tag] = element
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    with pydicom.config.disable_value_validation():
        ds.save_as(file, enforce_file_format=True)
    return folder


def pairs(ds):
    """Each attribute of a data set and what it says, at every depth."""
    return [
        (keyword_for_tag(e.tag) or str(e.tag), str(e.value)) for e in ds.iterall() if e.VR != "SQ"
    ]


def survivors(exam, tmp_path, keep=()):
    """Names of listed attributes that are in the output with a value that the input had there."""
    (old,) = exam.iterdir()
    done = mp.deidentify(exam, tmp_path / "o", secret=SECRET, keep=keep)
    (new,) = done.folder.rglob("*.dcm")
    before, after = pydicom.dcmread(old), pydicom.dcmread(new)
    asked = {str(tag_of(t)): keyword_for_tag(tag_of(t)) for t in ACTIONS}
    names = {k or t for t, k in asked.items()}
    was = set(pairs(before)) | {("MediaStorageSOPInstanceUID", before.SOPInstanceUID)}
    now = [*pairs(after), *pairs(after.file_meta)]
    sequences = {
        e.keyword for e in after.iterall() if e.VR == "SQ" and keyword_for_tag(e.tag) in names
    }
    kept = {k for k, v in now if k in names and v and (k, v) in was}
    there = {k for k, v in now if k in names and v} | sequences
    return kept | sequences, there, after


def test_the_list_is_the_whole_table():
    assert len(ACTIONS) == 655
    assert sum(len(t) for k, t in BLOCKS.items() if k.startswith("action")) == 655
    assert set(ACTIONS.values()) == {"X", "Z", "D", "U", "X/Z", "X/D", "X/Z/D", "Z/D", "X/Z/U*"}


def test_every_attribute_was_planted(exam):
    (file,) = exam.iterdir()
    ds = pydicom.dcmread(file)
    for place in (ds, ds[SEQUENCES[0]][0], ds[SEQUENCES[0]][0][SEQUENCES[1]][0]):
        missing = [t for t in ACTIONS if tag_of(t) not in place and t[:4] not in ("0000", "0002")]
        assert missing == []


def test_by_default_nothing_of_the_table_survives(exam, tmp_path):
    kept, there, after = survivors(exam, tmp_path)
    # Descriptions keep words of sequences and planes; UIDs are others; two say the new code.
    assert kept == DESCRIBED - {"ContrastBolusAgent"}
    assert listed("descriptors C") >= DESCRIBED
    replaced = {k for k in there - kept if vr_of(tag_for_keyword(k)) == "UI"}
    assert there == DESCRIBED | OWN | replaced
    assert {ACTIONS[f"{tag_for_keyword(k):08X}"] for k in replaced} == {"U"}
    said = {c.CodeValue for c in after.DeidentificationMethodCodeSequence}
    assert said == {CODES["basic"][0], CODES["descriptors"][0]}
    # Where there is more than known words, it goes.
    nested = after[SEQUENCES[0]][0]
    assert nested.SeriesDescription == "T1"
    assert nested.ContrastBolusAgent == "AGENT"


@pytest.mark.parametrize("option", ["dates", "device", "characteristics"])
def test_an_option_lets_its_column_through_and_no_more(exam, tmp_path, option):
    kept, there, after = survivors(exam, tmp_path, [option])
    may = listed(f"{option} K") | listed(f"{option} C") | DESCRIBED
    assert kept <= may
    added = there - DESCRIBED - OWN - {k for k in there if vr_of(tag_for_keyword(k)) == "UI"}
    assert added <= may | LATER
    assert added == {k for k in OPTIONS[option].split() if k in known_names()}
    # A date is another; the time of the day stays (docs/deidentify.md says why).
    assert {vr_of(tag_for_keyword(k)) for k in kept - DESCRIBED} <= (
        {"TM"} if option == "dates" else {"LO", "SH", "CS", "AS", "DS", "US"}
    )
    assert CODES[option][0] in {c.CodeValue for c in after.DeidentificationMethodCodeSequence}


def known_names():
    return {keyword_for_tag(tag_of(t)) for t in ACTIONS}


@pytest.mark.parametrize("option", [(), ("dates",), ("device",), ("characteristics",)])
def test_a_sidecar_is_held_to_the_same_table(exam, tmp_path, option):
    """Each listed attribute as a key, with a number, a word and a list in turn."""
    names = sorted(known_names() - {""})
    folder = tmp_path / "in"
    folder.mkdir()
    values = ("T1 Qz", 41, ["T1", "Qz"])
    for n, told in enumerate(values):
        (folder / f"{n}_T1w.json").write_text(json.dumps(dict.fromkeys(names, told)))
    done = mp.deidentify(folder, tmp_path / "o", secret=SECRET, keep=option)
    may = set().union(*(listed(f"{o} {c}") for o in option for c in "KC"))
    for path in done.folder.glob("image-*.json"):
        assert set(json.loads(path.read_text())) <= (may | DESCRIBED)


def test_commands_and_file_groups_are_on_no_list():
    """Attributes that no data set of a file may have: written anew, or not at all."""
    apart = [tag_of(t) for t in ACTIONS if t[:4] in ("0000", "0002")]
    assert len(apart) == 3
    assert not {keyword_for_tag(t) for t in apart} & set(keywords(frozenset(OPTIONS)))
    for keyword in keywords(frozenset(OPTIONS)):
        assert tag_for_keyword(keyword) is not None, keyword


def test_no_free_text_stays_but_what_is_cleaned_word_by_word():
    vrs = {k: dictionary_VR(tag_for_keyword(k)) for k in keywords(frozenset())}
    free = {k for k, v in vrs.items() if v in ("PN", "LO", "SH", "LT", "ST", "UT", "UC", "UR", "AE",
                                               "DA", "DT", "TM", "AS", "OB", "OW", "UN")}  # fmt: skip
    assert free == {"Manufacturer", "SeriesDescription", "ProtocolName", "SequenceName",
                    "PulseSequenceName", "ContrastBolusAgent", "ImagedNucleus", "ResonantNucleus",
                    "StackID"} & set(vrs) & free  # fmt: skip

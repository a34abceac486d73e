"""Words that name no one: the vocabularies to which texts are cleaned."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Terms of DICOM's coded strings (CS) in MR, and those that vendors add.
TERMS = frozenset(
    """
    ORIGINAL DERIVED PRIMARY SECONDARY OTHER MIXED NONE M P R I PHASE MAGNITUDE REAL
    IMAGINARY M_FFE M_SE M_IR M_PCA P_FFE PHASE_MAP FFE SE IR PCA ND NORM DIS2D DIS3D MOSAIC
    MPR MIP MINIP MNIP REFORMATTED RESAMPLED AVERAGE PROJECTION ADC FA TRACEW TENSOR
    DIFFUSION PERFUSION ASL MFSPLIT FM FMRI MEAN SUM MOCO VOLUME T1 T2 T2_STAR
    PROTON_DENSITY FLOW_ENCODED FLUID_ATTENUATED STIR TAGGING TOF MAGN_TRANSFER UNKNOWN
    T1_MAP T2_MAP WATER FAT IN_PHASE OUT_PHASE UNI INV1 INV2 SPIN GRADIENT BOTH GR EP RM SK
    MTC SS TRSS SP MP OSP PER RG CG PPG FC PFF PFP FS SFS SAT1 SAT2 SAT_GEMS EDR_GEMS
    TRF_GEMS FILTERED_GEMS ACC_GEMS WE CP PR 1D 2D 3D Y N YES NO HFS HFP FFS FFP HFDR HFDL
    FFDR FFDL ROW COL COLUMN PLUS MINUS HEAD BRAIN SKULL NECK SPINE WHOLEBODY MR OT
    MONOCHROME1 MONOCHROME2 00 01 LINEAR LINEAR_EXACT SIGMOID IDENTITY INVERSE DISTORTED
    SAMPLED MAX_IP MIN_IP CURVED_MPR COLOR MONOCHROME TRUE_COLOR DIRECTIONAL BMATRIX
    ISOTROPIC RECTILINEAR SINGLE PARTIAL FULL REVERSE_LINEAR CENTRIC SEGMENTED FREQUENCY
    COMBINATION SLICE_SELECT ACCELERATION FLOW_COMPENSATED VELOCITY PILS SENSE SMASH GRAPPA
    ZERO_FILL ON OFF RF RF_AND_GRADIENT FREE_PRECESSION TRANSVERSE TIME_REVERSED
    LONGITUDINAL FAT_AND_WATER TRACE AVERAGES B SLAB IEC FDA MHW HAMMING ELLIPSE UNIFORM
    3D_TEMPORAL TILED_FULL L U 1H 31P 23NA 19F 13C OUTER INNER INVERTED SPIN_ECHO
    GRADIENT_ECHO RATIO DB_DT ELECTRIC_FIELD F O
    """.split()  # noqa: SIM905 - too many for quotes
)

#: Words of sequences, planes and body parts in descriptions.
DESCRIBING = frozenset(
    """
    t1 t2 t1w t2w pd pdw flair mprage mp2rage mpr spgr fspgr bravo tfe tfl space cube vista
    vibe fl3d fl2d tse fse tir stir se gre ffe epi bold fmri rest dwi dti adc trace fa swi
    swan qsm asl pcasl pasl tof mra mrv pc angio perfusion dsc dce localizer localiser scout
    survey aahscout fieldmap field map b0 mag magnitude phase real imaginary uni inv1 inv2
    inv den ax axial tra transverse sag sagittal cor coronal obl oblique iso isotropic 3d 2d
    post pre gd gado contrast ce nd norm dis2d dis3d fs fatsat we wm gm csf brain head skull
    neck spine body whole hippocampus wip mip minip average mean moco irfspgr ir star t2star
    weighted w high res hires highres short long dual echo multi multiecho mosaic grappa
    sense cs p2 p3 diffusion tensor spin gradient fast turbo sms mb rf se2d tse2d diff scan
    image volume series sequence recon reformat
    """.split()  # noqa: SIM905 - too many for quotes
)

#: Who builds scanners, by a word of their name, and how they write themselves.
_VENDORS = (
    ("siemens", "SIEMENS"),
    ("philips", "Philips Medical Systems"),
    ("ge medical", "GE MEDICAL SYSTEMS"),
    ("ge healthcare", "GE MEDICAL SYSTEMS"),
    ("toshiba", "TOSHIBA"),
    ("canon", "Canon Medical Systems"),
    ("hitachi", "Hitachi Medical Corporation"),
    ("bruker", "Bruker BioSpin MRI GmbH"),
    ("uih", "UIH"),
    ("hyperfine", "Hyperfine"),
)
#: Suffixes and folders of BIDS that are about magnetic resonance, by their lower case.
SUFFIXES = {
    s.lower(): s
    for s in """
    T1w T2w FLAIR PDw PDT2 T2starw T2star inplaneT1 inplaneT2 angio UNIT1 MP2RAGE MPRAGE
    T1map T2map T2starmap PDmap bold sbref cbv phase dwi epi fieldmap magnitude magnitude1
    magnitude2 phasediff phase1 phase2 asl m0scan MEGRE MESE VFA IRT1 swi T1c T1gd T1ce mask
    dseg probseg T1 T2 PD image
    """.split()  # noqa: SIM905 - too many for quotes
}
FOLDERS = frozenset({"anat", "func", "dwi", "fmap", "perf", "swi", "derivatives"})
#: Entities of BIDS whose label may stay where it is a number or a word known here.
ENTITIES = """
    task acq ce trc stain rec dir run mod echo flip inv mt part proc hemi space split
    recording chunk res den label desc
    """.split()  # noqa: SIM905 - too many for quotes

_SEQUENCE = re.compile(
    r"\*?_?(tfl|tse|tseB?|spcR?|spcir|ep|fl|fi|se|ci|tir|tirB|h|re|qfl|mbep|ase|fm|pcasl|gre|swi)"
    r"_?[123]?d?[0-9]{0,3}(_[0-9]{1,3})?[a-z]{0,2}(b[0-9]{1,5}(#[0-9]{1,3}|t)?)?\Z"
)


def described(text: str, private: Iterable[str] = ()) -> str:
    """The words of a description that are known here; all others are left out."""
    hidden = {w.lower() for w in private}
    found = re.findall(r"[A-Za-z0-9]+", text)
    return " ".join(w for w in found if w.lower() in DESCRIBING and w.lower() not in hidden)


def vendor(text: str) -> str:
    """The vendor that is meant, in one spelling; empty where it is none that is known."""
    low = " ".join(text.lower().split())
    return next((name for word, name in _VENDORS if word in low), "")


def sequence_name(text: str) -> str:
    """The name of a pulse sequence if it is formed as one."""
    return text.strip() if _SEQUENCE.match(text.strip()) else ""


def own_words() -> str:
    """Everything that mriprep may write by itself, lower case: what a name cannot be told by."""
    parts = [*TERMS, *DESCRIBING, *(n for _, n in _VENDORS), *SUFFIXES, *FOLDERS, *ENTITIES]
    return " ".join(parts).lower()

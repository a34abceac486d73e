"""What may stay in a DICOM file: everything that is not listed here is left out.

A list of what to remove, such as table E.1-1 of PS3.15, grows with every
edition and with every vendor; a list of what an image needs does not. Each
attribute here is outside table E.1-1, or is cleaned or replaced as the table
asks (UIDs, descriptions, dates), or belongs to an option of the profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: Why attributes stay, and which; nested ones are held to the same list.
_ALWAYS: Mapping[str, str] = MappingProxyType(
    {
        "pixels": """
            SamplesPerPixel PhotometricInterpretation NumberOfFrames Rows Columns BitsAllocated
            BitsStored HighBit PixelRepresentation PixelAspectRatio SmallestImagePixelValue
            LargestImagePixelValue PixelPaddingValue WindowCenter WindowWidth RescaleIntercept
            RescaleSlope RealWorldValueIntercept RealWorldValueSlope
            RealWorldValueFirstValueMapped RealWorldValueLastValueMapped PixelPresentation
            VolumetricProperties VolumeBasedCalculationTechnique LossyImageCompression
            LossyImageCompressionRatio PresentationLUTShape VOILUTFunction BurnedInAnnotation
            PixelValueTransformationSequence FrameVOILUTSequence RealWorldValueMappingSequence""",
        "geometry": """
            ImagePositionPatient ImageOrientationPatient SliceLocation PixelSpacing SliceThickness
            SpacingBetweenSlices PatientPosition SpatialResolution PercentSampling
            PercentPhaseFieldOfView AcquisitionMatrix ReconstructionDiameter
            InPlanePhaseEncodingDirection BodyPartExamined Laterality FrameLaterality
            PixelMeasuresSequence PlanePositionSequence PlaneOrientationSequence
            FrameAnatomySequence MRFOVGeometrySequence
            MRAcquisitionFrequencyEncodingSteps MRAcquisitionPhaseEncodingStepsInPlane
            MRAcquisitionPhaseEncodingStepsOutOfPlane""",
        "order of the images": """
            SeriesNumber AcquisitionNumber InstanceNumber ImagesInAcquisition
            TemporalPositionIdentifier NumberOfTemporalPositions TemporalResolution
            TemporalPositionIndex InStackPositionNumber StackID DimensionIndexValues
            DimensionIndexPointer FunctionalGroupPointer DimensionOrganizationType
            DimensionOrganizationSequence DimensionIndexSequence FrameAcquisitionNumber
            FrameContentSequence SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence
            ConcatenationFrameOffsetNumber InConcatenationNumber InConcatenationTotalNumber
            TriggerTime""",
        "how it was scanned": """
            Modality ImageType FrameType ScanningSequence SequenceVariant ScanOptions
            MRAcquisitionType AngioFlag RepetitionTime EchoTime InversionTime InversionTimes
            NumberOfAverages ImagingFrequency ImagedNucleus EchoNumbers MagneticFieldStrength
            NumberOfPhaseEncodingSteps EchoTrainLength PixelBandwidth FlipAngle
            VariableFlipAngleFlag SAR dBdt EffectiveEchoTime EchoPulseSequence InversionRecovery
            FlowCompensation MultipleSpinEcho MultiPlanarExcitation PhaseContrast TimeOfFlightContrast
            Spoiling SteadyStatePulseSequence EchoPlanarPulseSequence MagnetizationTransfer T2Preparation
            BloodSignalNulling SaturationRecovery SpectrallySelectedSuppression
            SpectrallySelectedExcitation SpatialPresaturation Tagging OversamplingPhase
            GeometryOfKSpaceTraversal SegmentedKSpaceTraversal RectilinearPhaseEncodeReordering
            TagSpacingFirstDimension PartialFourier PartialFourierDirection
            ParallelAcquisition ParallelAcquisitionTechnique ParallelReductionFactorInPlane
            ParallelReductionFactorOutOfPlane ParallelReductionFactorSecondInPlane
            WaterReferencedPhaseCorrection RFEchoTrainLength GradientEchoTrainLength
            GradientOutput GradientOutputType CoverageOfKSpace KSpaceFiltering
            NumberOfKSpaceTrajectories ResonantNucleus ComplexImageComponent AcquisitionContrast
            DiffusionBValue DiffusionDirectionality DiffusionGradientOrientation
            DiffusionAnisotropyType DiffusionBValueXX DiffusionBValueXY DiffusionBValueXZ
            DiffusionBValueYY DiffusionBValueYZ DiffusionBValueZZ
            AcquisitionDuration FrameAcquisitionDuration VelocityEncodingMinimumValue
            VelocityEncodingMaximumValue TransmitterFrequency ApplicableSafetyStandardAgency
            MRImageFrameTypeSequence MRTimingAndRelatedParametersSequence MREchoSequence
            MRModifierSequence MRImagingModifierSequence MRDiffusionSequence
            DiffusionGradientDirectionSequence DiffusionBMatrixSequence MRAveragesSequence
            MRSpatialSaturationSequence""",
        "cleaned to known words": """
            Manufacturer SeriesDescription ProtocolName SequenceName PulseSequenceName
            ContrastBolusAgent""",
        "replaced, the same everywhere": """
            SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID
            DimensionOrganizationUID ConcatenationUID SynchronizationFrameOfReferenceUID""",
    }
)
#: What each option of the profile adds.
OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "dates": """
            StudyDate SeriesDate AcquisitionDate ContentDate StudyTime SeriesTime AcquisitionTime
            ContentTime AcquisitionDateTime FrameAcquisitionDateTime FrameReferenceDateTime""",
        "device": """
            ManufacturerModelName SoftwareVersions DeviceSerialNumber StationName
            ReceiveCoilName TransmitCoilName""",
        "characteristics": "PatientSex PatientAge PatientWeight PatientSize PregnancyStatus SmokingStatus",
        # No attribute: images in whose voxels text seems to be seen.
        "voxels": "",
    }
)
#: Codes of PS3.16, context group 7050, for what was done.
CODES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "basic": ("113100", "Basic Application Confidentiality Profile"),
        "descriptors": ("113105", "Clean Descriptors Option"),
        "dates": (
            "113107",
            "Retain Longitudinal Temporal Information Modified Dates Option",
        ),
        "characteristics": ("113108", "Retain Patient Characteristics Option"),
        "device": ("113109", "Retain Device Identity Option"),
        "private": ("113111", "Retain Safe Private Option"),
    }
)

#: Kinds of objects that hold a scan and nothing else.
CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.4",  # MR Image Storage
        "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR Image Storage
        "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR Image Storage
    }
)

#: Private elements that hold numbers and nothing else: creator, group, element, VR, and
#: how many; at most so many where it is negative.
PRIVATE: tuple[tuple[str, int, int, str, int], ...] = (
    ("SIEMENS MR HEADER", 0x0019, 0x0A, "US", 1),  # NumberOfImagesInMosaic
    ("SIEMENS MR HEADER", 0x0019, 0x0C, "IS", 1),  # B_value
    ("SIEMENS MR HEADER", 0x0019, 0x0E, "FD", 3),  # DiffusionGradientDirection
    ("SIEMENS MR HEADER", 0x0019, 0x27, "FD", 6),  # B_matrix
    ("SIEMENS MR HEADER", 0x0019, 0x28, "FD", 1),  # BandwidthPerPixelPhaseEncode
    ("SIEMENS MR HEADER", 0x0019, 0x29, "FD", -512),  # MosaicRefAcqTimes
    ("Philips Imaging DD 001", 0x2001, 0x03, "FL", 1),  # Diffusion B-Factor
    ("Philips MR Imaging DD 001", 0x2005, 0x0D, "FL", 1),  # Scale Intercept
    ("Philips MR Imaging DD 001", 0x2005, 0x0E, "FL", 1),  # Scale Slope
    ("Philips MR Imaging DD 001", 0x2005, 0xB0, "FL", 1),  # Diffusion Direction RL
    ("Philips MR Imaging DD 001", 0x2005, 0xB1, "FL", 1),  # Diffusion Direction AP
    ("Philips MR Imaging DD 001", 0x2005, 0xB2, "FL", 1),  # Diffusion Direction FH
    ("GEMS_ACQU_01", 0x0019, 0xBB, "DS", 1),  # Diffusion direction
    ("GEMS_ACQU_01", 0x0019, 0xBC, "DS", 1),
    ("GEMS_ACQU_01", 0x0019, 0xBD, "DS", 1),
    ("GEMS_PARM_01", 0x0043, 0x39, "IS", -4),  # B value first
)
#: Private sequences whose items are held to the same lists: Philips' numbers of each frame.
PRIVATE_SEQUENCES: tuple[tuple[str, int, int], ...] = (("Philips MR Imaging DD 005", 0x2005, 0x0F),)
#: Siemens keeps what a mosaic needs in a block of its own, of which only numbers are kept.
CSA = ("SIEMENS CSA HEADER", 0x0029, 0x10)


def keywords(options: frozenset[str]) -> dict[str, str]:
    """The attributes that stay, and why, for a choice of :data:`OPTIONS`."""
    found = {word: why for why, words in _ALWAYS.items() for word in words.split()}
    for option in sorted(options):
        found |= dict.fromkeys(OPTIONS[option].split(), f"kept by --keep {option}")
    return found

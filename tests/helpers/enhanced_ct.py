"""The same phantom as one Enhanced CT (multi-frame, PS3.3 A.38): geometry and rescale in functional groups."""

from collections.abc import Sequence
from copy import deepcopy

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import EnhancedCTImageStorage, ExplicitVRLittleEndian, generate_uid

_PER_SLICE = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SliceLocation",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "PixelData",
    "ConvolutionKernel",
    "KVP",
    "BodyPartExamined",
    "PixelPaddingValue",
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionNumber",
)


def item(**attributes: object) -> Dataset:
    dataset = Dataset()
    dataset.update(attributes)
    return dataset


def enhance(datasets: Sequence[Dataset]) -> Dataset:
    """One Enhanced CT holding the classic slices as frames, in the order given."""
    first = datasets[0]
    enhanced = deepcopy(first)
    for keyword in _PER_SLICE:
        if keyword in enhanced:
            delattr(enhanced, keyword)
    dimension = generate_uid(entropy_srcs=[first.SeriesInstanceUID, "dimension"])
    enhanced.update(
        {
            "SOPClassUID": EnhancedCTImageStorage,
            "SOPInstanceUID": generate_uid(entropy_srcs=[first.SOPInstanceUID, "enhanced"]),
            "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
            "PixelPresentation": "MONOCHROME",
            "VolumetricProperties": "VOLUME",
            "VolumeBasedCalculationTechnique": "NONE",
            "ContentQualification": "PRODUCT",
            "PresentationLUTShape": "IDENTITY",
            "BurnedInAnnotation": "NO",
            "LossyImageCompression": "00",
            "AcquisitionDuration": 5.0,
            "AcquisitionDateTime": "20240501101610",
            "DeviceSerialNumber": "1",
            "SoftwareVersions": "1",
            "NumberOfFrames": len(datasets),
            "PixelData": b"".join(d.PixelData for d in datasets),
            "DimensionOrganizationSequence": Items([item(DimensionOrganizationUID=dimension)]),
            "DimensionIndexSequence": Items(
                [
                    item(
                        DimensionOrganizationUID=dimension,
                        DimensionIndexPointer=0x00200032,
                        FunctionalGroupPointer=0x00209113,
                    )
                ]
            ),
            "AcquisitionContextSequence": Items([]),
            "SharedFunctionalGroupsSequence": Items([_shared(first)]),
            "PerFrameFunctionalGroupsSequence": Items([_frame(d, k) for k, d in enumerate(datasets, start=1)]),
        }
    )
    enhanced["PixelData"].VR = "OW"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    meta.MediaStorageSOPInstanceUID = enhanced.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    enhanced.file_meta = meta
    return enhanced


def _shared(first: Dataset) -> Dataset:
    """Shared Functional Groups: what every frame has in common."""
    measures = item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness)
    chest = item(CodeValue="816094009", CodingSchemeDesignator="SCT", CodeMeaning="Thorax")
    frame_type = item(
        FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
    )
    acquisition = item(AcquisitionType="SPIRAL", ConstantVolumeFlag="NO", FluoroscopyFlag="NO")
    details = item(
        RevolutionTime=0.5,
        SingleCollimationWidth=0.6,
        TotalCollimationWidth=38.4,
        TableHeight=100.0,
        GantryDetectorTilt=0.0,
        DataCollectionDiameter=500.0,
    )
    dynamics = item(TableSpeed=40.0, TableFeedPerRotation=20.0, SpiralPitchFactor=1.0)
    position = item(
        TablePosition=0.0,
        DataCollectionCenterPatient=[0.0, 0.0, 0.0],
        ReconstructionTargetCenterPatient=[0.0, 0.0, 0.0],
    )
    reconstruction = item(
        ReconstructionAlgorithm="FILTER_BACK_PROJ",
        ConvolutionKernel=first.ConvolutionKernel,
        ConvolutionKernelGroup="SOFT_TISSUE",
        ReconstructionDiameter=400.0,
        ImageFilter="NONE",
        ReconstructionAngle=360.0,
        ReconstructionPixelSpacing=[float(p) for p in first.PixelSpacing],
    )
    exposure = item(
        ExposureTimeInms=500.0, XRayTubeCurrentInmA=100.0, ExposureInmAs=50.0, ExposureModulationType="NONE"
    )
    return item(
        PixelMeasuresSequence=Items([measures]),
        PlaneOrientationSequence=Items([item(ImageOrientationPatient=first.ImageOrientationPatient)]),
        FrameAnatomySequence=Items([item(FrameLaterality="U", AnatomicRegionSequence=Items([chest]))]),
        CTImageFrameTypeSequence=Items([frame_type]),
        CTAcquisitionTypeSequence=Items([acquisition]),
        CTAcquisitionDetailsSequence=Items([details]),
        IrradiationEventIdentificationSequence=Items([item(IrradiationEventUID=generate_uid(entropy_srcs=["event"]))]),
        CTTableDynamicsSequence=Items([dynamics]),
        CTPositionSequence=Items([position]),
        CTReconstructionSequence=Items([reconstruction]),
        CTExposureSequence=Items([exposure]),
        CTXRayDetailsSequence=Items(
            [
                item(
                    KVP=120.0,
                    FocalSpots=[1.0],
                    FilterType="NONE",
                    FilterMaterial="ALUMINUM",
                    CalciumScoringMassFactorPatient=1.0,
                )
            ]
        ),
        CTGeometrySequence=Items([item(DistanceSourceToDetector=1000.0, DistanceSourceToDataCollectionCenter=500.0)]),
    )


def _frame(slice_: Dataset, number: int) -> Dataset:
    """Per-frame Functional Groups: position and rescale of one frame."""
    content = item(
        FrameReferenceDateTime="20240501101610",
        FrameAcquisitionDateTime="20240501101610",
        FrameAcquisitionDuration=500.0,
        FrameAcquisitionNumber=int(slice_.AcquisitionNumber),
        DimensionIndexValues=[number],
    )
    transformation = item(RescaleSlope=slice_.RescaleSlope, RescaleIntercept=slice_.RescaleIntercept, RescaleType="HU")
    return item(
        FrameContentSequence=Items([content]),
        PlanePositionSequence=Items([item(ImagePositionPatient=slice_.ImagePositionPatient)]),
        PixelValueTransformationSequence=Items([transformation]),
    )

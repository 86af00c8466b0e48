"""Checks what the images are: SOP class, Image Type, rescale, transfer syntax, completeness."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from pydicom import Dataset
from pydicom.uid import (
    UID,
    EnhancedXRayRadiationDoseSRStorage,
    PatientRadiationDoseSRStorage,
    XRayRadiationDoseSRStorage,
)

from service.errors import Reason, Refusal
from service.imaging.attributes import CT_CLASSES, MULTI_FRAME_CT, is_multi_frame, text, texts, transfer_syntax
from service.imaging.codestream import decodable
from service.imaging.frames import Frame, frame_count, image_type

_DOSE_CLASSES = (XRayRadiationDoseSRStorage, EnhancedXRayRadiationDoseSRStorage, PatientRadiationDoseSRStorage)

# Defined Terms of Image Type (PS3.3 C.8.2.1.1.1, C.8.15.2) and the vendors' own.
_IMAGE_TYPES = {
    Reason.LOCALIZER: {"LOCALIZER", "SCOUT", "TOPOGRAM", "SCANOGRAM"},
    Reason.DOSE_REPORT: {"DOSE", "DOSE_INFO", "DOSE REPORT", "DOSE_REPORT", "SCREEN SAVE"},
    Reason.DERIVED: {
        *("MPR", "MIP", "MINIP", "MIN IP", "AVERAGE", "REFORMATTED", "PROJECTION IMAGE"),
        *("MAX_IP", "MIN_IP", "MAXIMUM", "MINIMUM", "MEAN", "VOLUME_RENDER", "SURFACE_RENDER", "CURVED_MPR"),
        *("STD_DEVIATION", "ADDITION", "SUBTRACTION", "MULTIPLICATION", "DIVISION", "MASKED", "RESAMPLED"),
        *("SAMPLED", "DISTORTED"),
    },
}

_PROJECTION = re.compile(r"(?<![A-Z])(MIP|MINIP|MPR|AVG|AVE|AVERAGE)(?![A-Z])")
"""The same within a vendor's own value: "CT_SOM5 MIP", "MIP_10MM"."""

# Multi-energy images by Image Type (PS3.3 C.8.15.2.1.1.5, value 4) and in the vendors' words.
_NOT_HU_MAP = re.compile(
    r"IODIN|Z[ _-]?EFF|EFF(ECTIVE)?[ _-]?(Z(?![A-Z])|ATOMIC)|ATOMIC[ _-]?NUM|ELECTRON[ _-]?DENS|URIC"
    r"|MAT_(SPECIFIC|FRACTIONAL|VALUE)|MATERIAL[ _-]?DENS|(?<![A-Z])(MD|RHO)(?![A-Z])|(LUNG|(?<![A-Z]))PBV(?![A-Z])"
    r"|IOD(INE)?[ _-]?MAP"
)
_DERIVED_MAP = re.compile(
    r"MONO(?!CHROM)|KEV(?![A-Z])|VIRTUAL|CALCIUM[ _-]?SUP|GSI|MAT_(REMOVED|MODIFIED)|ENERGY_PROP"
    r"|(?<![A-Z])(VNC|TNC|VNI|VMI)"
)

# "US" is unspecified; the voxels then have to show air where it belongs (`read`).
_HU_TYPES = {"", "HU", "US"}
_HOUNSFIELD = "HOUNSFIELD"
_SHOWN = 200  # letters of a value that a refusal quotes
_SPELLED_ALIKE = 0.85
"""Part of the letters that agree in a misspelt Hounsfield; the voxels then have to show air, too."""


def completeness(images: int, expected_images: int | None) -> Iterator[Refusal]:
    """INCOMPLETE if the sender holds more than has arrived."""
    if expected_images is not None and images < expected_images:
        yield Refusal(Reason.INCOMPLETE, f"{images} of {expected_images} images have arrived.")


def sop_classes(headers: Sequence[Dataset]) -> Iterator[Refusal]:
    """NOT_CT, DOSE_REPORT; MIXED_GEOMETRY for a multi-frame CT that is not alone in its series."""
    classes = Counter(UID(text(header, "SOPClassUID")) for header in headers)
    for uid, count in classes.items():
        where = f"in {count} of {len(headers)} images."
        if uid in _DOSE_CLASSES:
            yield Refusal(Reason.DOSE_REPORT, f"SOP class {uid.name} {where}")
        if uid not in CT_CLASSES:
            yield Refusal(Reason.NOT_CT, f"SOP class {uid.name} {where}")
    if len(headers) > 1 and classes.keys() & set(MULTI_FRAME_CT):
        detail = f"{len(headers)} instances; a multi-frame CT has to be the only instance of its series."
        yield Refusal(Reason.MIXED_GEOMETRY, detail)


def image_types(images: Sequence[Dataset], allow_derived: bool) -> Iterator[Refusal]:
    """LOCALIZER, DERIVED, DOSE_REPORT, NOT_HU by Image Type; one scout among the slices refuses the series."""
    types = Counter(_described(image, number) for image in images for number in range(1, frame_count(image) + 1))
    for values, count in types.items():
        found = [reason for reason, terms in _IMAGE_TYPES.items() if terms.intersection(values)]
        found += [Reason.DERIVED] if not found and any(map(_PROJECTION.search, values)) else []
        found += [Reason.NOT_HU] if any(map(_NOT_HU_MAP.search, values)) else []
        computed = "DERIVED" in values or any(map(_DERIVED_MAP.search, values))
        if computed and not allow_derived and not found:
            found = [Reason.DERIVED]
        for reason in found:
            yield Refusal(reason, f"Image Type {'/'.join(values)[:_SHOWN]} in {count} of {types.total()} slices.")


def _described(image: Dataset, number: int) -> tuple[str, ...]:
    """Image Type; of a multi-frame CT also Frame Type and what it tells of projections (PS3.3 C.8.16.2)."""
    if not is_multi_frame(image):
        return image_type(image)
    keywords = ("ImageType", "FrameType", "VolumetricProperties", "VolumeBasedCalculationTechnique")
    told = [value.upper() for keyword in keywords for value in texts(image, keyword, number)]
    return tuple(dict.fromkeys(told))


def decoders(images: Sequence[Dataset]) -> Iterator[Refusal]:
    """CODEC for transfer syntaxes that nothing here decodes, or that are missing."""
    for uid, count in Counter(map(transfer_syntax, images)).items():
        if uid is None or not decodable(uid):
            name = "is missing" if uid is None else uid.name
            yield Refusal(Reason.CODEC, f"Transfer syntax {name} in {count} of {len(images)} images.")


def hounsfield(images: Sequence[Dataset], frames: Sequence[Frame]) -> Iterator[Refusal]:
    """NOT_HU where the headers already say that the values are something else."""
    for value, count in Counter(text(image, "PhotometricInterpretation") or "missing" for image in images).items():
        if value != "MONOCHROME2":
            detail = (
                f"PhotometricInterpretation is {value[:_SHOWN]}, not MONOCHROME2, in {count} of {len(images)} images."
            )
            yield Refusal(Reason.NOT_HU, detail)
    without = sum(frame.rescale_slope is None or frame.rescale_intercept is None for frame in frames)
    if without:
        detail = f"Rescale Slope or Rescale Intercept is missing in {without} of {len(frames)} slices."
        yield Refusal(Reason.NOT_HU, detail)
    negative = sum(frame.rescale_slope is not None and frame.rescale_slope <= 0 for frame in frames)
    if negative:
        yield Refusal(Reason.NOT_HU, f"Rescale Slope is not positive in {negative} of {len(frames)} slices.")
    for value, count in Counter(frame.rescale_type for frame in frames).items():
        if not is_hounsfield(value):
            yield Refusal(
                Reason.NOT_HU, f"Rescale Type is {value[:_SHOWN]}, not HU, in {count} of {len(frames)} slices."
            )


def is_hounsfield(rescale_type: str) -> bool:
    """Whether Rescale Type names Hounsfield units, in any spelling, or nothing in particular."""
    written = rescale_type.strip().upper()
    letters = "".join(letter for letter in written if letter.isalpha())
    name = letters.removesuffix("S").removesuffix("UNIT").removesuffix("S")
    alike = SequenceMatcher(None, name, _HOUNSFIELD, autojunk=False).ratio()
    return not _HU_TYPES.isdisjoint((written, name)) or alike >= _SPELLED_ALIKE


def size(frames: Sequence[Frame], max_voxels: int) -> Iterator[Refusal]:
    """TOO_LARGE by what the headers claim: a few compressed bytes may claim more than any memory holds."""
    voxels = sum(frame.rows * frame.columns for frame in frames)
    if voxels > max_voxels:
        yield Refusal(
            Reason.TOO_LARGE,
            f"{voxels:,} voxels in {len(frames):,} slices; at most {max_voxels:,} are allowed (limits.max_voxels).",
        )

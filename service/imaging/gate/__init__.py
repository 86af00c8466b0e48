"""The eligibility gate: may this series be analysed? Every reason against it, from its headers alone.

What needs pixels is decided later: `read.read_ct` (CODEC, NOT_HU by air, bad slices) and the lungs (NO_LUNG,
TRUNCATED, LUNG_LOST).
"""

from collections.abc import Sequence
from dataclasses import replace

from pydicom import Dataset

from service.domain.eligibility import Eligibility, Limits
from service.domain.flags import AGE_UNKNOWN, LOSSY, OF_THE_CT, in_order
from service.errors import Reason, Refusal
from service.imaging.attributes import CT_CLASSES
from service.imaging.frames import legible, read_frames
from service.imaging.gate import content, geometry, identity, patient
from service.imaging.lossy import is_lossy

__all__ = ["check_headers"]


def check_headers(headers: Sequence[Dataset], limits: Limits, expected_images: int | None = None) -> Eligibility:
    """Check one series.

    headers: one dataset per instance, any order, Pixel Data not needed.
    expected_images: instances the sender says it holds, None if it was not asked.
    """
    instances, illegible = legible(headers)
    images = [instance for instance in instances if instance.SOPClassUID in CT_CLASSES]
    frames, unreadable = read_frames(images)
    refusals = [
        *content.completeness(len(headers), expected_images),
        *illegible,
        *identity.one_patient(images),
        *identity.one_series(images),
        *content.sop_classes(instances),
        *content.image_types(images, limits.allow_derived),
        *content.decoders(images),
        *content.hounsfield(images, frames),
        *unreadable,
        *content.size(frames, limits.max_voxels),
        *patient.age(images, limits.min_age_years),
    ]
    measured = geometry.check(images, frames, limits) if frames else Eligibility()
    flags = {
        *measured.flags,
        *([LOSSY] if any(map(is_lossy, images)) else []),
        *([AGE_UNKNOWN] if images and not patient.age_is_known(images) else []),
    }
    refusals += measured.refusals
    if not refusals and not frames:
        refusals.append(Refusal(Reason.TOO_FEW, "The series is empty."))
    return replace(measured, refusals=tuple(refusals), flags=in_order(flags, OF_THE_CT))

"""The makers of an object: our equipment, one contributing equipment per model, identity of the algorithms."""

from collections.abc import Iterable
from typing import Any

import highdicom as hd
from highdicom import sr

from service.domain import codes
from service.domain.analysis import Analysis, ModelUse
from service.evidence.context import EvidenceContext
from service.evidence.uids import Uids

MANUFACTURER = "Thoracle"
MODEL_NAME = "Thoracle chest CT"
CREATOR = "Thoracle^"
"""Content Creator's Name; one without a component separator is an error to dciodvfy."""


def equipment(context: EvidenceContext) -> dict[str, Any]:
    """Arguments of highdicom's constructors for the General Equipment module (PS3.3 C.7.5.1)."""
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL_NAME,
        "software_versions": context.software_version,
        "device_serial_number": "0",  # software has none, but a SEG must have one (PS3.3 C.7.5.2)
    }


def contributing_equipment(analysis: Analysis) -> list[hd.ContributingEquipment]:
    """One item per model (PS3.3 C.12.1.1.5); its Device UID changes when the weights change (IHE AI Results)."""
    items = []
    for model in analysis.models:
        item = hd.ContributingEquipment(
            manufacturer=MANUFACTURER,
            purpose_of_reference=codes.PROCESSING,
            manufacturer_model_name=model.name,
            software_versions=model.version,
            contribution_description=f"Processing algorithm, weights SHA-256 {model.sha256}",
        )
        item.DeviceUID = model_uid(model)
        items.append(item)
    return items


def model_uid(model: ModelUse) -> str:
    """Device UID of exactly these weights, the same for every CT."""
    return Uids("model")(model.name, model.version, model.sha256)


def segment_algorithms(analysis: Analysis) -> hd.AlgorithmIdentificationSequence:
    """One item for all models together (PS3.3 C.8.20.4): highdicom and others read no more than one."""
    return hd.AlgorithmIdentificationSequence(
        name=_joined(model.name for model in analysis.models) or analysis.pipeline.name,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        version=_joined(model.version for model in analysis.models) or analysis.pipeline.version,
        source=MANUFACTURER,
        parameters={"pipeline": str(analysis.pipeline)}
        | {f"{m.name} sha256": m.sha256 for m in analysis.models}
        | {f"{m.name} runs on": m.runs_on for m in analysis.models if m.runs_on},
    )


def sr_algorithm(analysis: Analysis, *parameters: str) -> sr.AlgorithmIdentification:
    """The same as TID 4019."""
    return sr.AlgorithmIdentification(
        name=_joined(model.name for model in analysis.models) or analysis.pipeline.name,
        version=_joined(model.version for model in analysis.models) or analysis.pipeline.version,
        parameters=[
            f"pipeline {analysis.pipeline}",
            *(f"{m.name} sha256 {m.sha256}" for m in analysis.models),
            *(f"{m.name} runs on {m.runs_on}" for m in analysis.models if m.runs_on),
            *parameters,
        ],
        family=codes.ARTIFICIAL_INTELLIGENCE,
        manufacturer=MANUFACTURER,
    )


def _joined(parts: Iterable[str]) -> str:
    """Fits LO, which holds 64 characters (PS3.5 6.2)."""
    return " + ".join(parts)[:64]

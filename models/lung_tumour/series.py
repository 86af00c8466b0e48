"""The CTs of the training, by name, and whether they are learned or kept to measure on."""

from pathlib import Path

import highdicom as hd
import numpy as np

from models.lung_opacity import data as single
from models.opacity_context.series import CAP001, LIDC_1, LIDC_2, LIDC_3, NORMAL, P001, RIDER, Series, load
from service.domain.ct import CT
from service.imaging.harmonise import AIR_HU, MODEL_ORIENTATION

TUMOURS = single.LUNG1
"""CTs with an outlined tumour that may be learned. The IBSI phantom seems to be a part of LUNG1-002."""

CLEAR: dict[str, Series] = {series.name: series for series in (LIDC_1, LIDC_2, LIDC_3, P001)}
"""CTs without an outlined tumour that are learned; around a known nodule nothing is known."""

PNEUMONIA = tuple(name for name in single.MEDSEG9)
"""COVID-19 volumes: consolidation that is no tumour."""

CTS = (*TUMOURS, *CLEAR, *PNEUMONIA)

UNSEEN: dict[str, Series] = {series.name: series for series in (RIDER, NORMAL, CAP001)}
"""Never learned: the network is measured on them."""

TUMOUR_LABEL = 3


def read(data: Path, name: str) -> tuple[CT, hd.Volume | None]:
    """A CT, and its tumour (0 or 1) on the same grid where one is outlined. data: folder with train/ and dicom/."""
    series = {**CLEAR, **UNSEEN}.get(name)
    if series is not None:
        return load(data, series), None
    source = single.read(data / "train", name)

    def oriented(volume: hd.Volume, outside: float) -> hd.Volume:
        ends = [(1, 1), (0, 0), (0, 0)]
        return volume.to_patient_orientation(MODEL_ORIENTATION).pad(ends, constant_value=outside)

    ct = CT((), oriented(source.hu, AIR_HU))
    if name not in TUMOURS:
        return ct, None
    tumour = (source.labels == TUMOUR_LABEL).astype(np.uint8)
    return ct, oriented(source.hu.with_array(tumour), 0)


def known_lesions(name: str) -> tuple[tuple[float, float, float], ...]:
    """Points inside nodules that nobody outlined, LPS mm."""
    series = {**CLEAR, **UNSEEN}.get(name)
    return series.lesions if series is not None else ()

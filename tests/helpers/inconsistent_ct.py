"""Phantom CTs of which some slices contradict the others: refused from the headers, classic and multi-frame alike.

`LEGAL` are series whose slices differ as scanners make them differ: accepted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from pydicom import Dataset

from helpers import make_ct
from helpers.damage_ct import Case
from service.errors import Reason

SECOND, MIDDLE, UPPER, ONE = slice(1, None, 2), slice(35, 50), slice(0, 44), slice(40, 41)

Change = Callable[[int, Dataset], None]


def small() -> list[Dataset]:
    """A phantom of few pixels: headers decide."""
    return make_ct.make(rows=8, columns=8).datasets


def changed(which: slice, **attributes: Any) -> list[Dataset]:
    """A phantom with attributes replaced on some slices."""
    datasets = small()
    for dataset in datasets[which]:
        dataset.update(attributes)
    return datasets


def per_slice(change: Change) -> list[Dataset]:
    """A phantom whose slices are changed one by one."""
    datasets = small()
    for k, dataset in enumerate(datasets):
        change(k, dataset)
    return datasets


def beside(which: slice, x_mm: float, y_mm: float = 0.0) -> list[Dataset]:
    """A phantom with some slices reconstructed about another centre."""
    datasets = small()
    for dataset in datasets[which]:
        _shift(dataset, x_mm, y_mm)
    return datasets


def alternating(keyword: str, one: Any, other: Any) -> list[Dataset]:
    """A phantom whose every second slice has another value, none of them the original."""
    return per_slice(lambda k, dataset: dataset.update({keyword: (one, other)[k % 2]}))


def _shift(dataset: Dataset, x_mm: float, y_mm: float) -> None:
    x, y, z = dataset.ImagePositionPatient
    dataset.ImagePositionPatient = [f"{float(x) + x_mm:.4f}", f"{float(y) + y_mm:.4f}", z]


def _drift(k: int, dataset: Dataset) -> None:
    _shift(dataset, 0.0, 0.002 * k * k)


def _times(k: int, dataset: Dataset) -> None:
    dataset.AcquisitionTime = f"1016{10 + k // 8:02d}.{k % 8}00000"


def _zigzag_times(k: int, dataset: Dataset) -> None:
    dataset.AcquisitionTime = f"10{16 + 3 * (k % 2)}{10 + k // 8:02d}.{k % 8}00000"


def _two_patients() -> list[Dataset]:
    identity = {
        "PatientID": "OTHER-1",
        "PatientName": "Other^Person",
        "PatientSex": "M",
        "PatientBirthDate": "19500101",
    }
    return changed(UPPER, **identity)


def _agent() -> Dataset:
    agent = Dataset()
    agent.CodeValue, agent.CodingSchemeDesignator, agent.CodeMeaning = "C-B0317", "SRT", "Iohexol"
    return agent


def _midnight(k: int, dataset: Dataset) -> None:
    seconds = int(86390 + k / 4) % 86400
    dataset.AcquisitionTime = f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"


def _cases(reason: Reason, which: slice, attributes: Mapping[str, Any]) -> Iterable[Case]:
    for keyword, value in attributes.items():
        yield Case(f"{keyword} {value}", reason, partial(changed, which, **{keyword: value}))


IDENTITY: Sequence[Case] = (
    Case("two patients", Reason.MIXED_PATIENTS, _two_patients),
    *_cases(Reason.MIXED_PATIENTS, ONE, {"PatientID": "PHANTOM2", "PatientName": "Phantom^Breast"}),
    *_cases(Reason.MIXED_PATIENTS, MIDDLE, {"PatientID": "", "PatientSex": "F", "PatientBirthDate": "19640105"}),
    *_cases(Reason.MIXED_PATIENTS, SECOND, {"PatientAge": "061Y"}),
    Case("two issuers", Reason.MIXED_PATIENTS, lambda: alternating("IssuerOfPatientID", "NORTH", "SOUTH")),
    *_cases(Reason.MIXED_SERIES, ONE, {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.4", "Modality": "PT"}),
    *_cases(Reason.MIXED_SERIES, MIDDLE, {"SeriesNumber": "3", "StudyDate": "20240502"}),
)

RECONSTRUCTION: Sequence[Case] = (
    *_cases(Reason.MULTIPHASE, SECOND, {"ConvolutionKernel": "STANDARD", "KVP": "80", "AcquisitionNumber": "2"}),
    *_cases(Reason.MULTIPHASE, SECOND, {"ContrastBolusAgent": "OMNIPAQUE", "AcquisitionTime": "101500"}),
    *_cases(Reason.MULTIPHASE, SECOND, {"ReconstructionDiameter": "300", "FilterType": "WEDGE"}),
    *_cases(
        Reason.MULTIPHASE, ONE, {"ConvolutionKernel": ["Br40f", "3"], "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"]}
    ),
    *_cases(Reason.MULTIPHASE, MIDDLE, {"KVP": "80", "AcquisitionNumber": "2", "PatientPosition": "FFS"}),
    *_cases(Reason.MULTIPHASE, UPPER, {"ManufacturerModelName": "Other", "ConvolutionKernel": "B70f"}),
    *_cases(Reason.MULTIPHASE, UPPER, {"Manufacturer": "Other", "DeviceSerialNumber": "2"}),
    *_cases(
        Reason.MULTIPHASE,
        SECOND,
        {"SpiralPitchFactor": 1.5, "SingleCollimationWidth": 1.2, "IrradiationEventUID": "1.2.3", "TableHeight": "200"},
    ),
    *_cases(
        Reason.MULTIPHASE,
        SECOND,
        {"SeriesDescription": "B", "ProtocolName": "B", "FocalSpots": "1.2", "ScanOptions": "X"},
    ),
    *_cases(Reason.MULTIPHASE, SECOND, {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "OTHER"]}),
    *_cases(Reason.MULTIPHASE, UPPER, {"ContrastBolusAgentSequence": [_agent()]}),
    Case("two stations", Reason.MULTIPHASE, lambda: alternating("StationName", "CT1", "CT2")),
    Case("two models", Reason.MULTIPHASE, lambda: alternating("ManufacturerModelName", "A", "B")),
    Case("two runs of acquisition times", Reason.MULTIPHASE, lambda: per_slice(_zigzag_times)),
    *_cases(Reason.MIXED_GEOMETRY, SECOND, {"SliceThickness": "1.0"}),
    Case(
        "two target centres",
        Reason.MIXED_GEOMETRY,
        lambda: alternating("ReconstructionTargetCenterPatient", [0.0, 0.0, 1.0], [0.0, 4.0, 2.0]),
    ),
)

PLACE: Sequence[Case] = (
    Case("middle slices to the left", Reason.MIXED_GEOMETRY, lambda: beside(MIDDLE, 12.0)),
    Case("middle slices to the back", Reason.MIXED_GEOMETRY, lambda: beside(MIDDLE, 0.0, 3.0)),
    Case("one slice by 1 mm", Reason.MIXED_GEOMETRY, lambda: beside(ONE, -1.0)),
    Case("every second slice", Reason.MIXED_GEOMETRY, lambda: beside(SECOND, 2.0)),
    Case("the upper half", Reason.MIXED_GEOMETRY, lambda: beside(UPPER, 8.0, 8.0)),
    Case("the first slice", Reason.MIXED_GEOMETRY, lambda: beside(slice(0, 1), 5.0)),
    Case("drifting", Reason.MIXED_GEOMETRY, lambda: per_slice(_drift)),
)

CASES = (*IDENTITY, *RECONSTRUCTION, *PLACE)

LEGAL: Mapping[str, Callable[[], list[Dataset]]] = {
    "padded patient ID": lambda: changed(SECOND, PatientID=" PHANTOM "),
    "name in other letters": lambda: changed(SECOND, PatientName="PHANTOM^CHEST^^"),
    "name without a group": lambda: per_slice(lambda k, d: d.update({"PatientName": "Phantom^Chest" + "=X" * (k % 2)})),
    "no name, sex, birth date": lambda: changed(MIDDLE, PatientName="", PatientSex="", PatientBirthDate=""),
    "no patient ID at all": lambda: changed(slice(None), PatientID=""),
    "date with stops": lambda: changed(MIDDLE, PatientBirthDate="1964.05.01"),
    "other IDs": lambda: changed(SECOND, OtherPatientIDs="X1"),
    "dose modulation": lambda: per_slice(lambda k, d: d.update({"XRayTubeCurrent": str(100 + k % 7), "Exposure": "9"})),
    "times of a helical scan": lambda: per_slice(_times),
    "step and shoot": lambda: per_slice(lambda k, d: d.update({"AcquisitionNumber": str(1 + k // 16)})),
    "numbers written differently": lambda: changed(SECOND, KVP="120.0", SliceThickness="2.500000"),
    "no rescale type on some": lambda: changed(SECOND, RescaleType=""),
    "a scan over midnight": lambda: per_slice(_midnight),
    "the same age in years and months": lambda: alternating("PatientAge", "060Y", "725M"),
    "a placeholder for the age": lambda: changed(SECOND, PatientAge="000Y"),
    "accession number reconciled": lambda: changed(UPPER, AccessionNumber="PHANTOM2"),
    "own values of Image Type in blocks": lambda: changed(UPPER, ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "HELIX"]),
    "own values of Image Type": lambda: per_slice(
        lambda k, d: d.update({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", f"V{k}"]})
    ),
    "pitch in blocks": lambda: changed(UPPER, SpiralPitchFactor=1.5, SeriesDescription="B"),
    "table height measured": lambda: per_slice(lambda k, d: d.update({"TableHeight": f"{160 + k % 3 / 4}"})),
    "rounded positions": lambda: per_slice(lambda k, d: _shift(d, 0.04 * (-1) ** k, 0.04 * (-1) ** (k // 2))),
}

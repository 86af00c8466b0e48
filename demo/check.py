"""Opens what came back and says what it is; raises AssertionError with a sentence when something is wrong."""

from collections.abc import Sequence
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage, EncapsulatedPDFStorage, SegmentationStorage


def check(received: Sequence[Path], source: Dataset, folder: Path, pipelines: int) -> dict[str, Path]:
    """Check the results of so many pipelines against the CT that was sent, and write the reports to `folder` as PDF.

    Returns what each file is, in words.
    """
    found, reports = {}, 0
    for path in received:
        dataset = dcmread(path)
        assert dataset.StudyInstanceUID == source.StudyInstanceUID, f"{path.name} is filed under another study"
        assert dataset.PatientID == source.PatientID, f"{path.name} belongs to another patient"
        found[_describe(dataset)] = path
        if dataset.SOPClassUID == EncapsulatedPDFStorage:
            reports += 1
            pdf = folder / ("report.pdf" if reports == 1 else f"report-{reports}.pdf")
            pdf.write_bytes(dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength])
            assert pdf.read_bytes().startswith(b"%PDF-"), "the report is not a PDF"
            found[f"PDF  to open now, {dataset.SeriesDescription}"] = pdf
    kinds = [dcmread(p, stop_before_pixels=True, specific_tags=["SOPClassUID"]).SOPClassUID for p in received]
    assert kinds.count(SegmentationStorage) >= pipelines, "segmentations are missing"
    reports = kinds.count(Comprehensive3DSRStorage)
    assert 2 * pipelines <= reports <= 3 * pipelines, "each pipeline has two structured reports, or three with axes"
    assert kinds.count(EncapsulatedPDFStorage) == pipelines, "each pipeline has one PDF report"
    return found


def _describe(dataset: Dataset) -> str:
    if dataset.SOPClassUID == SegmentationStorage:
        labels = ", ".join(s.SegmentLabel for s in dataset.SegmentSequence)
        size = f"{dataset.NumberOfFrames} frames of {dataset.Rows} x {dataset.Columns}"
        return f"SEG  {dataset.SeriesDescription}, {size}: {labels}"
    if dataset.SOPClassUID == EncapsulatedPDFStorage:
        return f"PDF  (encapsulated in DICOM) {dataset.SeriesDescription}"
    return f"SR   {dataset.SeriesDescription}"

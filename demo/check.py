"""Opens what came back and says what it is; raises AssertionError with a sentence when something is wrong."""

from collections.abc import Sequence
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage, EncapsulatedPDFStorage, SegmentationStorage


def check(received: Sequence[Path], source: Dataset, pdf_path: Path) -> dict[str, Path]:
    """Check the results against the CT that was sent and write the report's PDF to `pdf_path`.

    Returns what each file is, in words.
    """
    found = {}
    for path in received:
        dataset = dcmread(path)
        assert dataset.StudyInstanceUID == source.StudyInstanceUID, f"{path.name} is filed under another study"
        assert dataset.PatientID == source.PatientID, f"{path.name} belongs to another patient"
        found[_describe(dataset)] = path
        if dataset.SOPClassUID == EncapsulatedPDFStorage:
            pdf_path.write_bytes(dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength])
            assert pdf_path.read_bytes().startswith(b"%PDF-"), "the report is not a PDF"
    kinds = [dcmread(p, stop_before_pixels=True, specific_tags=["SOPClassUID"]).SOPClassUID for p in received]
    assert kinds.count(SegmentationStorage) >= 1, "no segmentation came back"
    assert kinds.count(Comprehensive3DSRStorage) == 2, "two structured reports were expected"
    assert kinds.count(EncapsulatedPDFStorage) == 1, "one PDF report was expected"
    return found


def _describe(dataset: Dataset) -> str:
    if dataset.SOPClassUID == SegmentationStorage:
        labels = ", ".join(s.SegmentLabel for s in dataset.SegmentSequence)
        return f"SEG  {dataset.NumberOfFrames} frames of {dataset.Rows} x {dataset.Columns}: {labels}"
    if dataset.SOPClassUID == EncapsulatedPDFStorage:
        return "PDF  (encapsulated in DICOM)"
    return f"SR   {dataset.SeriesDescription}"

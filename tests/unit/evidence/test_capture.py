"""The report as a picture: the same page, readable, and the same bytes every time."""

import subprocess
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers import evidence_samples, make_ct
from helpers.evidence_samples import encoded
from helpers.programs import program
from PIL import Image
from pydicom import Dataset, dcmread

from service.evidence.context import ALWAYS, Evidence, Selection

pytestmark = pytest.mark.slow


def with_picture() -> tuple[Evidence, ...]:
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS)
    return encoded(ct, analysis, evidence_samples.context(ct), [Selection(kinds=ALWAYS | {"capture"})])


@pytest.fixture(scope="module")
def evidence() -> tuple[Evidence, ...]:
    return with_picture()


@pytest.fixture(scope="module")
def image(evidence: tuple[Evidence, ...]) -> Dataset:
    return dcmread(BytesIO(evidence[-3].content))


def test_it_is_one_more_object_after_the_pdf(evidence: tuple[Evidence, ...]) -> None:
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS)
    *others, capture, _, pdf = evidence
    assert (capture.kind, capture.file_name, capture.style) == ("capture", "report.sc.dcm", None)
    assert capture.sop_class_uid == "1.2.840.10008.5.1.4.1.1.7"
    without = encoded(ct, analysis, evidence_samples.context(ct))
    assert (*others, pdf) == (*without[:-2], without[-1]), "all but the study SR, which refers to it"


def test_same_bytes_at_another_time(evidence: tuple[Evidence, ...]) -> None:
    time.sleep(1.1)
    assert with_picture()[-3] == evidence[-3]


def test_attributes(image: Dataset) -> None:
    assert (image.Modality, image.ConversionType, image.BurnedInAnnotation) == ("OT", "WSD", "YES")
    assert (image.PhotometricInterpretation, image.PatientOrientation) == ("RGB", "")
    assert (image.SeriesNumber, image.InstanceNumber, image.PatientName) == (9006, 1, "Phantom^Chest")
    assert (image.DateOfSecondaryCapture, image.TimeOfSecondaryCapture) == (image.ContentDate, image.ContentTime)
    ct, _ = evidence_samples.phantom(findings=make_ct.FINDINGS)
    assert [item.ReferencedSOPInstanceUID for item in image.SourceImageSequence] == list(ct.sop_uids)


def test_another_renderer_sees_the_same_page(image: Dataset, evidence: tuple[Evidence, ...], tmp_path: Path) -> None:
    (tmp_path / "report.pdf").write_bytes(evidence[-1].content)
    arguments = ["-r", "150", "-png", "-singlefile", tmp_path / "report.pdf", tmp_path / "page"]
    subprocess.run([program("pdftoppm"), *arguments], check=True)
    page = small(np.asarray(Image.open(tmp_path / "page.png")))
    assert image.pixel_array.shape == (1754, 1241, 3)
    assert np.abs(small(image.pixel_array) - page).mean() < 2.5  # of 255
    coloured = np.ptp(page, axis=-1) > 30
    right, swapped = (np.abs(small(image.pixel_array[..., ::step]) - page)[coloured].mean() for step in (1, -1))
    assert right < 10 and swapped > 30, "red and blue are told apart"


def small(rgb: np.ndarray) -> np.ndarray:
    """A tenth of the size, where the edges of letters do not count."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(rgb)).resize((124, 175), Image.Resampling.BOX), float)

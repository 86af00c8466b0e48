"""The path of a study: a damaged series is refused for itself and harms no other."""

from collections.abc import Callable
from pathlib import Path

import evidence_samples
import make_ct
import pytest
from pydicom import dcmread

from service.domain.ct import CT
from service.domain.eligibility import Limits
from service.domain.findings import Analysis
from service.domain.ports import Backend, Progress
from service.errors import Reason
from service.store.tree import scan
from service.worker.analyst import Analyst


class LungsAsLobe:
    """A pipeline that needs no model: all that is as thin as lung is one lobe."""

    name = "lungs-as-lobe"
    models = ()

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        mask = (ct.volume.array < -700).astype("uint8")
        return evidence_samples.analysis_of(ct, mask, 0 * mask)


class NoBackend:
    """`LungsAsLobe` asks nothing of it."""


def without_transfer_syntax(path: Path) -> None:
    dataset = dcmread(path)
    del dataset.file_meta.TransferSyntaxUID
    dataset.save_as(path, implicit_vr=False, little_endian=True)


def unknown_vr_of_series_number(path: Path) -> None:
    content = path.read_bytes()
    assert b"\x20\x00\x11\x00IS" in content
    path.write_bytes(content.replace(b"\x20\x00\x11\x00IS", b"\x20\x00\x11\x00ZZ", 1))


def overwritten_since_it_was_found(path: Path) -> None:
    path.write_bytes(b"no DICOM any more")


@pytest.mark.parametrize(
    "damage", [without_transfer_syntax, unknown_vr_of_series_number, overwritten_since_it_was_found]
)
def test_a_damaged_series_never_harms_a_good_one(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    good = make_ct.make(slices=88).datasets
    study_uid = good[0].StudyInstanceUID
    bad = make_ct.make(slices=84, attributes={"StudyInstanceUID": study_uid, "SeriesInstanceUID": "1.2.3"}).datasets
    make_ct.write(good, tmp_path / "good")
    paths = make_ct.write(bad, tmp_path / "bad")
    series = scan([tmp_path])
    damage(paths[0])
    outcome = Analyst(LungsAsLobe(), NoBackend(), Limits(), "0.1.0").analyse(series, lambda _stage, _part: None)
    assert outcome.series_uid == good[0].SeriesInstanceUID and outcome.evidence
    assert {refusal.reason for refusal in outcome.refusals["1.2.3"]} == {Reason.UNREADABLE}

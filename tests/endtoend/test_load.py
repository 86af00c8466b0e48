"""Eight modalities that send at once: no slice is lost, whatever else the service is doing."""

from collections import Counter
from pathlib import Path

import pytest
from helpers import make_ct
from helpers.dicom_peers import wait_until
from helpers.modalities import send_at_once
from helpers.receiving import Receiving, dataset_bytes
from helpers.running_service import RunningService
from pydicom import dcmread

from service.store.engine import sqlite_engine
from service.store.records import Records

DEMO_CT = Path(__file__).parents[2] / "demo" / "ct"

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """By calling AE title: 20 slices each, a study of its own. Too coarse to be analysed."""
    folder = tmp_path_factory.mktemp("modalities")
    scans = {f"CT{k}": make_ct.make(slices=20, spacing_mm=11.0, study=f"load {k}") for k in range(8)}
    return {ae: make_ct.write(scan.datasets, folder / ae) for ae, scan in scans.items()}


def assert_all_kept(studies: dict[str, list[Path]], records: Records, data: Path) -> None:
    """Every file is recorded, as the only one of its instance, and lies there with the bytes that were sent."""
    for ae, files in studies.items():
        (series,) = records.series_of(str(dcmread(files[0]).StudyInstanceUID))
        assert series.calling_ae == ae
        assert sorted(dataset_bytes(data / p) for p in series.paths) == sorted(dataset_bytes(p) for p in files)


def test_while_a_study_is_analysed(tmp_path: Path, studies: dict[str, list[Path]]) -> None:
    with RunningService(tmp_path / "ai", None) as service:
        send_at_once({"BUSY": sorted(DEMO_CT.glob("*.dcm"))}, service.port, tmp_path)
        wait_until(lambda: ": lungs" in service.log(), 240)
        sent = send_at_once(studies, service.port, tmp_path)
        assert [job["state"] for job in service.jobs() if job["started_at"]] == ["running"], "they sent meanwhile"
        assert sent.rejected == 0 and len(sent.latency_s) == 8 * 20
        data = tmp_path / "ai" / "data"
        assert_all_kept(studies, Records(sqlite_engine(data / "records.db")), data)
        wait_until(lambda: Counter(j["state"] for j in service.jobs()) == {"analysed": 1, "refused": 8}, 240)


def test_those_for_whom_there_is_no_association_left_get_through_later(
    tmp_path: Path, studies: dict[str, list[Path]]
) -> None:
    with Receiving(tmp_path, calls={"max_associations": 2}) as receiver:
        sent = send_at_once(studies, receiver.port, tmp_path)
        assert sent.rejected == receiver.counts.associations.count("rejected") > 0
        assert receiver.counts.associations.count("accepted") == 8
        assert_all_kept(studies, receiver.records, tmp_path)

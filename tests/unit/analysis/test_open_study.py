"""Which pipelines a received study gets: by the headers of its series, as far as they can be parsed."""

from datetime import UTC, datetime
from errno import EINVAL
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import sqlalchemy as sa
from helpers import arrivals, make_ct
from helpers.databases import open_database
from helpers.encryption import encryption
from pydicom.uid import MRImageStorage

from service.analysis import open_study
from service.analysis.open_study import Studies
from service.composition.analysis import chosen_pipelines, pipeline_rules
from service.domain.job import Job
from service.domain.job_state import State
from service.errors import Reason
from service.settings import Settings
from service.store.inbox import Inbox
from service.store.records import Records
from service.store.spool import Spool
from service.store.tables import file_keys

SOFT, SHARP = "covid-severity", "emphysema-index"
SETTINGS = Settings(
    pipelines=[{"name": SOFT, "when": [{"kernel": ["B4*"]}]}, {"name": SHARP, "when": [{"kernel": ["B7*"]}]}]
)
JUNK = b"no DICOM"


class Received:
    """Studies in a spool."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        engine = open_database(folder / "records.db")
        self._spool, self._records = Spool(folder), Records(engine)
        self._inbox = Inbox(self._spool, self._records)
        self.studies = Studies(self._spool, self._records, lambda study, series: {})
        self._images = 0

    def take(self, content: bytes, series_uid: str = "S.1", **identity: Any) -> None:
        self._images += 1
        name = str(self._images)
        self._inbox.take(arrivals.arrival(name, content=content, series_uid=series_uid, **identity))

    def pipelines(self) -> tuple[str, ...]:
        return chosen_pipelines(SETTINGS, self.studies.facts, "S")

    def encrypt(self) -> None:
        self._spool._encryption = encryption(self._records._engine)

    def damage(self, number: int) -> None:
        """Cut off the end of the image that came as this one."""
        name = sha256(str(number).encode()).hexdigest()[:32]
        [path] = (path for path in self._spool.received() if name in path)
        (self._folder / path).write_bytes((self._folder / path).read_bytes()[:-9])

    def forget_keys(self) -> None:
        with self._records._engine.begin() as connection:
            connection.execute(sa.update(file_keys).values(wrapped=None))

    def remove_files(self) -> None:
        for path in self._spool.received():
            (self._folder / path).unlink()

    def not_taken(self, pipeline: str) -> dict[str, tuple[Reason, ...]]:
        """The reasons why series are left out of a pipeline's analysis, by Series Instance UID."""
        rules = pipeline_rules(SETTINGS)
        studies = Studies(self._spool, self._records, lambda study, series: {}, rules)
        job = Job("j", "S", 1, None, State.RUNNING, datetime.now(UTC), None, pipeline=pipeline)
        with studies.open(job) as (files, _, _):
            return {one.series_uid: tuple(refusal.reason for refusal in one.refusals) for one in files}


def image(kernel: str, **attributes: Any) -> bytes:
    attributes["ConvolutionKernel"] = kernel
    dataset = make_ct.make(slices=1, rows=8, columns=8, lungs=False, attributes=attributes)
    written = BytesIO()
    dataset.datasets[0].save_as(written, enforce_file_format=True)
    return written.getvalue()


@pytest.fixture
def received(tmp_path: Path) -> Received:
    return Received(tmp_path)


@pytest.mark.parametrize(
    ("kernels", "pipelines"),
    [(["B40f"], (SOFT,)), (["B70f"], (SHARP,)), (["B70f", "B40f"], (SOFT, SHARP)), (["H30s"], ())],
)
def test_a_pipeline_takes_a_study_of_which_any_series_matches(
    received: Received, kernels: list[str], pipelines: tuple[str, ...]
) -> None:
    for number, kernel in enumerate(kernels):
        received.take(image(kernel), f"S.{number}")
    assert received.pipelines() == pipelines


def test_a_series_is_judged_by_the_first_header_that_can_be_parsed(received: Received) -> None:
    for content in (JUNK, image("B70f")):
        received.take(content)
    assert received.pipelines() == (SHARP,)


def test_an_unreadable_study_goes_to_an_analysis_that_refuses_it_by_name(received: Received) -> None:
    """Not to none: nobody would hear of it."""
    received.take(JUNK)
    assert received.studies.facts("S") == []
    assert received.pipelines() == (SOFT,)


def test_an_unreadable_series_decides_nothing(received: Received) -> None:
    received.take(JUNK, "S.1")
    received.take(image("B70f"), "S.2")
    assert received.pipelines() == (SHARP,)


def test_a_scout_decides_nothing(received: Received) -> None:
    """It has a kernel, too, and is never analysed."""
    received.take(image("B70f", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "S.1")
    received.take(image("B40f"), "S.2")
    assert received.pipelines() == (SOFT,)


def test_a_pipeline_analyses_the_series_that_its_rules_take_and_no_other(received: Received) -> None:
    received.take(image("B40f"), "S.1")
    received.take(image("B70f"), "S.2")
    received.take(JUNK, "S.3")
    assert received.not_taken(SHARP) == {"S.1": (Reason.NO_PIPELINE,), "S.2": (), "S.3": ()}
    assert received.not_taken(SOFT) == {"S.1": (), "S.2": (Reason.NO_PIPELINE,), "S.3": ()}


def test_a_pipeline_whose_rules_take_no_series_any_more_sees_all(received: Received) -> None:
    """Its job stands, the gate says why each series cannot be analysed."""
    received.take(image("H30s"), "S.1")
    assert received.not_taken(SHARP) == {"S.1": ()}


def test_missing_files_are_waited_for(received: Received) -> None:
    """A folder that is not mounted must not choose a pipeline."""
    received.take(image("B70f"))
    received.remove_files()
    with pytest.raises(FileNotFoundError):
        received.pipelines()


@pytest.mark.parametrize("errno", [None, EINVAL])
def test_bytes_that_pydicom_calls_an_error_of_the_system_are_unreadable(
    received: Received, monkeypatch: pytest.MonkeyPatch, errno: int | None
) -> None:
    """Else one damaged file would keep its study waiting, as a storage that is away does."""
    received.take(image("B70f"))
    error = OSError("No tag to read") if errno is None else OSError(errno, "Invalid argument")
    monkeypatch.setattr(open_study, "read_header", Mock(side_effect=error))
    assert received.pipelines() == (SOFT,)


def test_what_is_no_ct_is_named_so_whatever_the_rules_say(received: Received) -> None:
    for uid, kernel in (("S.1", "B40f"), ("S.2", "B70f")):
        mr = {"sop_class_uid": str(MRImageStorage), "modality": "MR"}
        received.take(image(kernel), uid, **mr)
    assert received.not_taken(SHARP) == {"S.1": (Reason.NOT_CT,), "S.2": (Reason.NOT_CT,)}


def test_an_encrypted_file_that_is_damaged_refuses_its_series_and_no_other(received: Received) -> None:
    received.encrypt()
    for uid in ("S.1", "S.1", "S.2"):
        received.take(image("B70f"), uid)
    received.damage(1)
    received.damage(2)
    assert received.not_taken(SHARP) == {"S.1": (Reason.UNREADABLE,), "S.2": ()}
    assert received.pipelines() == (SHARP,)


def test_a_study_whose_key_is_forgotten_is_refused_by_name(received: Received) -> None:
    received.encrypt()
    received.take(image("B70f"))
    received.forget_keys()
    assert received.not_taken(SHARP) == {"S.1": (Reason.UNREADABLE,)}
    assert received.studies.facts("S") == []

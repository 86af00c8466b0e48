"""What the settings make of comparisons: no source, the records, or the records and then an archive."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from helpers.databases import open_database
from sqlalchemy.exc import OperationalError

from service.analysis.archive_priors import ArchivePriors
from service.analysis.own_priors import OwnPriors
from service.analysis.priors import NOT_THE_ARCHIVE, PriorFiles, Several, Wanted
from service.composition.priors import comparer
from service.domain.audit_event import Participant
from service.errors import Transient
from service.settings import Settings
from service.store.spool import Spool

ARCHIVE = {"kind": "dicomweb", "url": "https://archive.example.org/dicom-web", "user": "ai", "password": "secret"}


@pytest.fixture
def engine(tmp_path: Path) -> sa.Engine:
    return open_database(tmp_path / "records.db")


def sources(settings: Settings, engine: sa.Engine, folder: Path, asking: Any = None) -> list[Any]:
    made = comparer(settings, engine, Spool(folder), asking or (lambda *_: None))
    assert made is not None and isinstance(made.priors, Several)
    assert made.most_years == settings.comparison.max_years
    return list(made.priors.sources)


def test_comparisons_can_be_turned_off(engine: sa.Engine, tmp_path: Path) -> None:
    off = Settings(comparison={"enabled": False})
    assert comparer(off, engine, Spool(tmp_path), lambda *_: None) is None


def test_the_records_alone_unless_an_archive_is_named(engine: sa.Engine, tmp_path: Path) -> None:
    (own,) = sources(Settings(destinations={"archive": ARCHIVE}), engine, tmp_path)
    assert isinstance(own, OwnPriors)


def test_an_archive_is_asked_last_with_the_account_of_its_destination(engine: sa.Engine, tmp_path: Path) -> None:
    ours = {"archive": "archive", "archive_within_s": 7, "max_years": 3}
    told: list[tuple[str, str]] = []

    def asking(study_uid: str, whom: Participant) -> None:
        told.append((study_uid, whom.address))

    own, archive = sources(Settings(destinations={"archive": ARCHIVE}, comparison=ours), engine, tmp_path, asking)
    assert isinstance(own, OwnPriors) and isinstance(archive, ArchivePriors)
    assert (archive.node.url, archive.node.user, archive.within_s, archive.most_years) == (ARCHIVE["url"], "ai", 7, 3)
    archive.told("1.2.3")
    assert told == [("1.2.3", ARCHIVE["url"])]


def test_a_question_that_cannot_be_told_is_asked_later(engine: sa.Engine, tmp_path: Path) -> None:
    def asking(*_: object) -> None:
        raise OperationalError("", {}, Exception("locked"))

    settings = Settings(destinations={"archive": ARCHIVE}, comparison={"archive": "archive"})
    with pytest.raises(Transient):
        sources(settings, engine, tmp_path, asking)[1].told("1.2.3")


class Source:
    """Has one earlier result, and notes that it was asked."""

    def __init__(self, name: str) -> None:
        self.name, self.asked = name, False

    def candidates(self, _wanted: Wanted) -> Iterator[AbstractContextManager[PriorFiles]]:
        self.asked = True
        yield nullcontext(PriorFiles({}, (self.name,)))


def test_a_later_source_is_asked_only_when_the_one_before_has_no_more() -> None:
    first, second = Source("first"), Source("second")
    found = Several([first, second]).candidates(None)  # type: ignore[arg-type]
    with next(found) as held:
        assert held.remarks == ("first", NOT_THE_ARCHIVE) and not second.asked
    with next(found) as held:
        assert held.remarks == ("second",)

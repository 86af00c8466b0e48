"""Patient data and databases are for the service's user alone, whatever umask the service is started with."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.arrivals import arrival, keep

from service.composition.storage import open_storage
from service.settings import Settings
from service.store.records import Records

OTHERS = 0o077


@pytest.fixture(params=[0o000, 0o022, 0o027, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.slow
def test_others_read_nothing_and_the_service_reads_all(umask: int, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    spool, engine = open_storage(settings)
    path = keep(spool, Records(engine), arrival())  # type: ignore[arg-type]
    spool.save_results("job", {"study.sr.dcm": b"1"})
    modes = {p.name: p.stat().st_mode for p in (settings.data_dir, *settings.data_dir.iterdir())}
    assert {"data", "records.db", "flow.db", "spool", "results"} <= modes.keys()
    assert {name for name, mode in modes.items() if mode & OTHERS} == set()
    assert modes["spool"] & 0o777 == 0o700
    assert spool.read(path) == b"a"


def test_rights_that_somebody_gave_are_kept(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)
    open_storage(Settings(data_dir=data))
    assert data.stat().st_mode & 0o777 == 0o755

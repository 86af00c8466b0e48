"""Retention on both databases and on both kinds of spool."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers.ward import Ward
from obstore.store import MemoryStore

from service.domain.ports import Spool
from service.store.object_spool import ObjectSpool
from service.store.spool import Spool as DiskSpool


@pytest.fixture(params=["disk", "object store"])
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> Spool:
    return DiskSpool(tmp_path / "data") if request.param == "disk" else ObjectSpool(MemoryStore())


@pytest.fixture
def ward(engine: sa.Engine, spool: Spool) -> Ward:
    return Ward(engine, spool)

"""Retention on both databases and on both kinds of spool, and with encrypted files."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers.encryption import encryption
from helpers.ward import Ward
from obstore.store import MemoryStore

from service.domain.ports import Spool
from service.store.encryption import PLAIN
from service.store.object_spool import ObjectSpool
from service.store.spool import Spool as DiskSpool


@pytest.fixture(params=["disk", "object store", "encrypted disk"])
def spool(request: pytest.FixtureRequest, tmp_path: Path, engine: sa.Engine) -> Spool:
    if request.param == "object store":
        return ObjectSpool(MemoryStore())
    return DiskSpool(tmp_path / "data", encryption(engine) if "encrypted" in request.param else PLAIN)


@pytest.fixture
def ward(engine: sa.Engine, spool: Spool) -> Ward:
    return Ward(engine, spool)

"""Spools whose files are encrypted."""

import os

import sqlalchemy as sa

from service.store.encryption import Encryption
from service.store.file_keys import FileKeys
from service.store.master_keys import MasterKeys

MASTER = bytes(range(32))


def encryption(engine: sa.Engine, *masters: bytes, new_files: bool = True) -> Encryption:
    """masters: the newest first; without any the same one each time."""
    return Encryption(FileKeys(engine, MasterKeys(masters or (MASTER,))), new_files)


def other_master() -> bytes:
    """Returns a master key that nobody else has."""
    return os.urandom(32)

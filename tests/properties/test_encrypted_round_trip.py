"""Whatever a file holds, it comes back from its encrypted form, and from no other file's."""

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.store.encrypted_file import HEADER_BYTES, PIECE_BYTES, FileKey, NotWhole, decrypt, encrypt

KEYS = st.builds(FileKey, st.binary(min_size=16, max_size=16).map(bytes.hex), st.binary(min_size=32, max_size=32))
BORDERS = st.builds(lambda pieces, off: max(0, pieces * PIECE_BYTES + off), st.integers(0, 3), st.integers(-2, 2))
SIZES = BORDERS | st.integers(0, 5000)
NAMES = st.text(min_size=1, max_size=80).filter(lambda name: name.isprintable())


@given(KEYS, NAMES, SIZES, st.binary(min_size=1, max_size=7))
@settings(max_examples=60, deadline=None)
def test_any_content_of_any_size_comes_back(key: FileKey, name: str, size: int, pattern: bytes) -> None:
    content = (pattern * (size // len(pattern) + 1))[:size]
    file = b"".join(encrypt(key, name, memoryview(content)))
    assert len(file) == HEADER_BYTES + size + 16 * max(1, -(-size // PIECE_BYTES))
    assert b"".join(decrypt(key, name, BytesIO(file))) == content


@given(KEYS, NAMES, st.binary(max_size=200), st.data())
@settings(max_examples=100, deadline=None)
def test_no_changed_byte_and_no_other_length_passes(
    key: FileKey, name: str, content: bytes, data: st.DataObject
) -> None:
    file = b"".join(encrypt(key, name, content))
    at = data.draw(st.integers(0, len(file) - 1))
    changed = file[:at] + bytes([file[at] ^ data.draw(st.integers(1, 255))]) + file[at + 1 :]
    for other in (changed, file[:at], file + data.draw(st.binary(min_size=1, max_size=40))):
        with pytest.raises(NotWhole):
            b"".join(decrypt(key, name, BytesIO(other)))

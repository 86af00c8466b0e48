"""The format of encrypted files: what was saved comes back, or nothing does."""

import tracemalloc
from io import BytesIO
from pathlib import Path

import pytest

from service.store.encrypted_file import HEADER_BYTES, PIECE_BYTES, FileKey, NotWhole, decrypt, encrypt, key_id_of

KEY = FileKey("0123456789abcdef" * 2, b"k" * 32)
NAME = "spool/study/series/1.dcm"
TAG_BYTES = 16
SEALED_PIECE = PIECE_BYTES + TAG_BYTES


def encrypted(content: bytes, key: FileKey = KEY, name: str = NAME) -> bytes:
    return b"".join(encrypt(key, name, content))


def decrypted(file: bytes, key: FileKey = KEY, name: str = NAME) -> bytes:
    return b"".join(decrypt(key, name, BytesIO(file)))


def test_a_file_tells_its_key_and_nothing_else() -> None:
    file = encrypted(b"content" * 100)
    assert key_id_of(file[:HEADER_BYTES]) == KEY.key_id
    assert b"content" not in file
    assert key_id_of(b"\0" * 128 + b"DICM") is None
    assert key_id_of(file[: HEADER_BYTES - 1]) is None


def test_the_same_content_never_gives_the_same_bytes() -> None:
    assert encrypted(b"content")[HEADER_BYTES:] != encrypted(b"content")[HEADER_BYTES:]


def test_a_key_is_not_printed() -> None:
    assert "kkk" not in repr(KEY)


@pytest.mark.parametrize("at", [0, 16, 32, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + SEALED_PIECE, -1])
def test_a_changed_bit_anywhere_is_noticed(at: int) -> None:
    file = bytearray(encrypted(b"x" * (PIECE_BYTES + 10)))
    file[at] ^= 1
    with pytest.raises(NotWhole):
        decrypted(bytes(file))


@pytest.mark.parametrize("length", [0, HEADER_BYTES, HEADER_BYTES + 5, HEADER_BYTES + SEALED_PIECE, -SEALED_PIECE, -1])
def test_a_file_that_is_cut_off_is_noticed(length: int) -> None:
    """Also where a whole piece, or all of them, are missing."""
    file = encrypted(b"x" * (2 * PIECE_BYTES))
    with pytest.raises(NotWhole):
        decrypted(file[:length])


def test_what_is_appended_is_noticed() -> None:
    file = encrypted(b"x" * PIECE_BYTES)
    for more in (b"\0", file[HEADER_BYTES:]):
        with pytest.raises(NotWhole):
            decrypted(file + more)


def test_pieces_in_another_order_are_noticed() -> None:
    file = encrypted(b"x" * PIECE_BYTES + b"y" * PIECE_BYTES + b"z")
    first, second, rest = (
        file[HEADER_BYTES : HEADER_BYTES + SEALED_PIECE],
        file[HEADER_BYTES + SEALED_PIECE : HEADER_BYTES + 2 * SEALED_PIECE],
        file[HEADER_BYTES + 2 * SEALED_PIECE :],
    )
    assert decrypted(file[:HEADER_BYTES] + first + second + rest)
    with pytest.raises(NotWhole):
        decrypted(file[:HEADER_BYTES] + second + first + rest)


def test_a_file_cannot_take_the_place_of_another() -> None:
    with pytest.raises(NotWhole):
        decrypted(encrypted(b"content"), name="spool/study/series/2.dcm")


def test_another_key_opens_nothing() -> None:
    with pytest.raises(NotWhole):
        decrypted(encrypted(b"content"), FileKey(KEY.key_id, b"K" * 32))
    with pytest.raises(NotWhole):
        decrypted(encrypted(b"content"), FileKey("f" * 32, KEY.secret))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    size = 40 * PIECE_BYTES
    content = memoryview(bytearray(size))
    tracemalloc.start()
    try:
        with (tmp_path / "encrypted").open("wb") as file:
            file.writelines(encrypt(KEY, NAME, content))
        with (tmp_path / "encrypted").open("rb") as file, (tmp_path / "plain").open("wb") as plain:
            plain.writelines(decrypt(KEY, NAME, file))
        assert tracemalloc.get_traced_memory()[1] < 8 * PIECE_BYTES
    finally:
        tracemalloc.stop()
    assert (tmp_path / "plain").read_bytes() == content
    assert (tmp_path / "encrypted").stat().st_size == HEADER_BYTES + size + 40 * TAG_BYTES

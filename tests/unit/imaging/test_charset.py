"""The examples of PS3.5 Annexes H to K as bytes, and what senders make of them."""

import pytest

from service.imaging.charset import actual_encodings, decoded, printable

DEFAULT = ["iso8859"]


@pytest.mark.parametrize(
    "value, encodings, text",
    [
        (
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
            ["iso8859", "iso_ir_58"],
            "Zhang^XiaoDong=张^小东=",
        ),
        (b"=\x1b$)A\xd5\xc5^\xd0\xa1\xb6\xab=", DEFAULT, "=张^小东="),  # designated once, and never declared
        (b"=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", ["iso8859", "euc_kr"], "=洪^吉洞"),
        (b"=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", ["iso8859", "iso2022_jp"], "=山田^太郎"),
        (
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
            ["shift_jis", "iso2022_jp"],
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
        ),
        (b"\x1b$(D\x30\x21\x1b(B", ["iso8859", "iso2022_jp_2"], "丂"),
        (b"J\xe9r\xf4me^\x1b-F\xc4\xe9^\xe9", ["latin_1", "iso_ir_126"], "Jérôme^Δι^é"),
        (b"\x1b$)A\xd5\xc5.\r\n\x1b$)A\xd5", ["iso8859", "iso_ir_58"], "张.\r\n\ufffd"),
        ("王\x1b^小东".encode("gb18030"), ["GB18030"], "王\x1b^小东"),  # has no extensions: the escape is a control
    ],
)
def test_code_extensions(value: bytes, encodings: list[str], text: str) -> None:
    assert decoded(value, encodings, b"^=") == text


def test_controls_and_escapes_are_never_printed() -> None:
    assert printable("a\x1b$)A张\x00b\x9b\n\t") == "a张b"
    assert printable("a\x00\r\nb", lines=True) == "a\r\nb"
    assert printable("Łukasz Ёлка محمد") == "Łukasz Ёлка محمد"


@pytest.mark.parametrize(
    "value, declared, text",
    [
        ("Müller^Jörg".encode(), DEFAULT, "Müller^Jörg"),
        ("Müller^Jörg".encode("latin-1"), DEFAULT, "Müller^Jörg"),
        ("王^小東".encode(), ["latin_1"], "王^小東"),
        ("Ã¼".encode("latin-1"), ["latin_1"], "Ã¼"),  # may be what is meant
        ("Müller".encode("latin-1"), ["UTF8"], "Müller"),
        ("王小".encode()[:-1], ["UTF8"], "王\ufffd"),  # cut within a character
        ("Иванов".encode("iso8859-5"), ["iso_ir_144"], "Иванов"),
    ],
)
def test_bytes_that_contradict_what_is_declared(value: bytes, declared: list[str], text: str) -> None:
    assert decoded(value, actual_encodings(value, declared), b"^=") == text


def test_nothing_turns_the_direction_of_a_name() -> None:
    assert printable("A\u202eB\u2066C\u200f") == "ABC\u200f"

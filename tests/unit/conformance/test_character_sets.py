"""Every character set that the conformance statement tells arrives in results as UTF-8."""

from io import BytesIO

import pytest
from helpers import make_ct
from helpers.conformance import tried
from pydicom import dcmread
from pydicom.charset import python_encoding
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from service.conformance.character_sets import character_sets
from service.conformance.rows import Row
from service.evidence.source import UTF8, clean_header

_NAME = Tag("PatientName")
[_TABLE] = character_sets().tables

_LETTERS = {
    "ascii": "Mueller^A",
    "latin_1": "Müller^Æ",
    "iso8859_2": "Łódź^Ő",
    "iso8859_3": "Ħal^Ġ",
    "iso8859_4": "Ķīle^Ē",
    "iso_ir_126": "Διονυσιος^Α",
    "iso_ir_127": "قباني^لنزار",
    "iso_ir_138": "שרון^דבורה",
    "iso_ir_144": "Люкceмбypг^Анна",
    "iso_ir_148": "Çavuşoğlu^İ",
    "iso_ir_166": "นามสกุล^ช",
    "shift_jis": "ﾔﾏﾀﾞ^ﾀﾛｳ",
    "iso2022_jp": "Yamada^Tarou=山田^太郎",
    "iso2022_jp_2": "Yamada^Tarou=丂^侄",
    "euc_kr": "Hong^Gildong=洪^吉洞=홍^길동",
    "iso_ir_58": "Zhang^XiaoDong=张^小东",
    "GBK": "Wang^XiaoDong=王^小東",
    "GB18030": "Wang^XiaoDong=王^小东",
    "UTF8": "Ωmega^Ünïcode",
}
"""A name in each encoding, with letters that others do not have."""


@pytest.mark.parametrize("row", tried(_TABLE))
def test_a_name_in_it_arrives_as_utf8(row: Row) -> None:
    term = "" if row.key == "none" else row.key
    name = _LETTERS["ascii" if python_encoding[term] == "iso8859" else python_encoding[term]]
    [dataset] = make_ct.make(slices=1).datasets
    dataset.SpecificCharacterSet = ["", term] if term.startswith("ISO 2022") else term
    dataset.PatientName = name
    with BytesIO() as buffer:
        dataset.save_as(buffer, enforce_file_format=True)
        read = dcmread(BytesIO(buffer.getvalue()), stop_before_pixels=True)
    if term == "ISO 2022 IR 58":  # pydicom writes it without its escape sequences (PS3.5 K.2)
        parts = b"^".join(b"\x1b$)A" + part.encode("gb2312") for part in name.split("=")[1].split("^"))
        read[_NAME] = RawDataElement(_NAME, "PN", 0, name.split("=")[0].encode() + b"=" + parts, 0, False, True)
    clean = clean_header(read)
    assert (str(clean.PatientName), clean.SpecificCharacterSet) == (name, UTF8)

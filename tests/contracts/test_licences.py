"""Licences: every shipped package and every library within its wheel has a known one, and none is the GPL."""

import re
import runpy
import sys
from email.message import Message
from importlib.metadata import distribution
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import features

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def licences() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "generate_licences.py"))


def package(**fields: str) -> SimpleNamespace:
    metadata = Message()
    metadata["Name"] = "one"
    for name, value in fields.items():
        metadata[name.replace("_", "-")] = value
    return SimpleNamespace(metadata=metadata)


def test_a_licence_is_read_from_new_and_old_metadata(licences: dict[str, Any]) -> None:
    of = licences["licence_of"]
    assert of(package(License_Expression="MIT AND PSF-2.0")) == "MIT AND PSF-2.0"
    assert of(package(Classifier="License :: OSI Approved :: MIT License")) == "MIT"
    assert of(package(License="SIL OFL V1.1")) == "OFL-1.1"
    with pytest.raises(SystemExit, match=r"one: its licence is not known"):
        of(package(License="see the file"))


@pytest.mark.parametrize(
    ("licence", "refused"),
    [
        ("GPL-3.0-or-later", True),
        ("AGPL-3.0-only", True),
        ("MIT AND GPL-2.0-only", True),
        ("LGPL-3.0-only", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("MPL-2.0", False),
        ("0BSD", False),
        ("GPL-2.0-only WITH Autoconf-exception-2.0", True),
        ("MIT OR GPL-2.0-only", False),
        ("GPL-2.0-only OR AGPL-3.0-only", True),
        ("(MIT OR Apache-2.0) AND GPL-3.0-only", True),
        ("(MIT OR GPL-2.0-only) AND (GPL-3.0-only OR BSD-3-Clause)", False),
        ("MIT OR Apache-2.0 AND GPL-3.0-only", False),
        ("GPL-3.0-only AND MIT OR Apache-2.0 AND GPL-3.0-only", True),
        ("GPL-3.0-only AND (MIT OR Apache-2.0)", True),
        ("((MIT))", False),
    ],
)
def test_only_the_gpl_is_refused(licences: dict[str, Any], licence: str, refused: bool) -> None:
    assert licences["refused"](licence) is refused


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "BSD", "MIT AND (ISC", ""])
def test_a_library_under_the_gpl_or_without_a_known_licence_is_refused(licences: dict[str, Any], licence: str) -> None:
    one = {"name": "library one", "packages": ["scipy"], "files": ["libone"], "licence": licence}
    licences["TABLES"]["bundled"].append(one)
    try:
        with pytest.raises(SystemExit, match="library one"):
            licences["page"]()
    finally:
        licences["TABLES"]["bundled"].remove(one)


def test_lgpl_parts_are_named_with_their_source() -> None:
    page = (ROOT / "docs" / "reference" / "licences.md").read_text()
    copyleft = page[page.index("## Copyleft parts") : page.index("## Python packages")]
    for part in ("psycopg", "psycopg-binary", "python-bidi", "libquadmath", "libkeyutils", "libcrypt"):
        (row,) = re.findall(rf"^\| {part}(?: .*)? \| LGPL-\S+ \| [^|]+ \| ([^|]+) \|$", copyleft, re.MULTILINE)
        assert "." in row, f"no source of {part}"


@pytest.mark.skipif(sys.platform != "linux", reason="other wheels hold other libraries")
def test_every_library_within_a_wheel_is_named(licences: dict[str, Any]) -> None:
    named = licences["TABLES"]["bundled"]
    unknown, seen = [], 0
    for one in licences["packages"]():
        for file in distribution(one.name).files or ():
            if re.match(r"lib.*\.so(\.|$)", file.name):
                seen += 1
                if not any(one.name in b["packages"] and file.name.startswith(tuple(b["files"])) for b in named):
                    unknown.append(f"{one.name}: {file.name}")
    assert seen > 30
    assert unknown == []


def test_pillow_brings_no_libimagequant() -> None:
    assert features.check_feature("raqm") is not None  # the wheel tells what it was built with
    assert not features.check_feature("libimagequant")


def test_what_a_gpu_adds_is_named(licences: dict[str, Any]) -> None:
    lock = (ROOT / "requirements" / "gpu.txt").read_text()
    added = re.findall(r"^((?:nvidia|onnxruntime|cuda)[\w-]*)==", lock, re.MULTILINE)
    assert "onnxruntime-gpu" in added
    assert set(added) <= licences["TABLES"]["packages"].keys()

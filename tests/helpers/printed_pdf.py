"""The text of a report, as another program reads it."""

import subprocess
from pathlib import Path

from helpers.programs import program


def printed(pdf: bytes, folder: Path) -> str:
    """The text, laid out as on the page; asserts that it is one page."""
    path = folder / "report.pdf"
    path.write_bytes(pdf)
    info = subprocess.run([program("pdfinfo"), path], capture_output=True, text=True, check=True).stdout
    assert "Pages:           1\n" in info
    return subprocess.run(
        [program("pdftotext"), "-layout", path, "-"], capture_output=True, text=True, check=True
    ).stdout

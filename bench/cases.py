"""The CTs that are measured."""

from dataclasses import dataclass
from pathlib import Path

from helpers import make_ct

from bench import ROOT

SLICES = 400
"""A thin-slice chest CT."""

_COVID_CT_MD = ROOT.parent / "shared" / "data" / "dicom" / "covid-ct-md"
_P001 = _COVID_CT_MD / "P001"
DEMO = ROOT / "demo" / "ct"


@dataclass(frozen=True, slots=True)
class Case:
    """One CT on disk. judged: whether the targets are set for it."""

    name: str
    folder: Path
    judged: bool
    note: str = ""


def cases() -> tuple[Case, ...]:
    """The CT that the targets name, first, and the demo CT; without the former the demo CT is judged instead."""
    demo = f"demo CT ({_count(DEMO)} slices)"
    if _P001.is_dir():
        return Case(f"P001 ({_count(_P001)} slices)", _P001, judged=True), Case(demo, DEMO, judged=False)
    return (Case(demo, DEMO, judged=True, note="P001 is not beside the project: the demo CT is judged in its place"),)


def real_cts() -> tuple[Case, ...]:
    """What parity is measured on: `cases`, and the CT of a pneumonia and a normal one where they are at hand."""
    more = [_COVID_CT_MD / name for name in ("cap001", "normal001")]
    return *cases(), *(Case(f"{f.name} ({_count(f)} slices)", f, judged=False) for f in more if f.is_dir())


def phantom() -> make_ct.PhantomCT:
    """The tests' phantom as a thin-slice CT of 400 x 512 x 512: 0.5 MB a slice, lungs in most slices.

    Another one each time: parts give its slices UIDs of their own.
    """
    return make_ct.make(
        slices=SLICES, spacing_mm=0.55, rows=512, columns=512, pixel_mm=(0.75, 0.75), findings=make_ct.FINDINGS
    )


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.glob("*.dcm"))

"""Which prediction belongs to which truth: two files, two folders, or two patterns.

In a folder every label file is a case, named by the file without its ending. In a pattern the part that `*` stands for
is the case: `results/*/findings.seg.dcm`, `labels/*_label.nii.gz`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.errors import Permanent
from service.store.label_files import is_label_file

_ENDINGS = (".nii.gz", ".nii", ".seg.dcm", ".dcm")


class NoCases(Permanent):
    """Prediction and truth cannot be paired."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Cases in the order of their names. pred is None where there is no prediction; extra: cases without a truth."""

    cases: Mapping[str, tuple[Path | None, Path]]
    extra: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Cases without a prediction."""
        return tuple(name for name, (pred, _) in self.cases.items() if pred is None)


def pair(pred: str, truth: str) -> Pairs:
    """NoCases, in words, if something is not there or nothing belongs together."""
    if Path(pred).is_file() and Path(truth).is_file():
        return Pairs({_stem(Path(truth)): (Path(pred), Path(truth))}, ())
    if Path(pred).is_file() or Path(truth).is_file():
        raise NoCases("PRED and TRUTH must both be files, or both stand for many cases (a folder, or a pattern with *)")
    preds, truths = _find(pred), _find(truth)
    if not set(preds) & set(truths):
        raise NoCases(f"no case is in both: PRED has {_some(preds)}, TRUTH has {_some(truths)}")
    cases = {name: (preds.get(name), truths[name]) for name in sorted(truths)}
    return Pairs(cases, tuple(sorted(set(preds) - set(truths))))


def _find(where: str) -> dict[str, Path]:
    if Path(where).is_dir():
        files = (path for path in sorted(Path(where).iterdir()) if path.is_file())
        found = [(_stem(path), path) for path in files if is_label_file(path)]
        if not found:
            raise NoCases(f"there are no NIfTI files and no DICOM Segmentations in {where}")
    elif where.count("*") == 1:
        pattern = Path(where)
        anchor = Path(pattern.anchor)
        shape = re.compile(re.escape(str(pattern)).replace(r"\*", "(.+)"))
        paths = sorted(anchor.glob(str(pattern.relative_to(anchor))))
        found = [(match[1], path) for path in paths if (match := shape.fullmatch(str(path))) and path.is_file()]
        if not found:
            raise NoCases(f"no file matches {where}")
    else:
        raise NoCases(f"{where} is neither a file nor a folder nor a pattern with one *")
    cases = dict(found)
    if len(cases) < len(found):
        twice = next(name for name, path in found if cases[name] != path)
        raise NoCases(f"{where} has several files for the case {twice!r}")
    return cases


def _stem(path: Path) -> str:
    ending = next((e for e in _ENDINGS if path.name.lower().endswith(e)), "")
    return path.name[: len(path.name) - len(ending)]


def _some(cases: Mapping[str, Path]) -> str:
    shown = ", ".join(sorted(cases)[:3])
    return shown + (", ..." if len(cases) > 3 else "")

"""Measure the released network on CTs that it did not learn, by the functions of the service, and write its card.

    python -m models.lung_tumour.evaluate --data DIR [--repository triton_repo]

DIR holds train/ and dicom/. Writes metrics.json, CARD.md and pictures beside this file. `--fold FILE.onnx CT` also
measures another run's model on the CT that it was trained without, and keeps that beside the rest.
"""

import argparse
import json
from pathlib import Path
from time import process_time
from typing import Any

import highdicom as hd
import nibabel
import numpy as np
from numpy.typing import NDArray

from models.card import METRICS, write_metrics
from models.opacity_context.data import ball
from models.repository import ROOT, model_path
from service.domain.ct import CT
from service.domain.ports import Backend
from service.imaging.diameters import diameters
from service.imaging.harmonise import resample_like
from service.inference.onnx import OnnxBackend

from . import series
from .card import render
from .findings import Piece, found, pieces
from .picture import draw
from .series import CTS, RIDER, UNSEEN
from .spec import SPEC

HERE = Path(__file__).parent

_NEAR_MM = 15.0

OUTLINES = "dicom/rider-lung-tumour/tumour_{}.nii.gz"

Mask = NDArray[np.bool_]


def dice(one: Mask, other: Mask) -> float:
    both = np.count_nonzero(one) + np.count_nonzero(other)
    return round(2.0 * np.count_nonzero(one & other) / both, 3) if both else 1.0


def outline(data: Path, ct: CT, kind: str) -> Mask:
    """RIDER's tumour on the slices of `ct`. kind: "manual" by an expert, or "automatic"."""
    mask = hd.Volume.from_nibabel(nibabel.load(data / OUTLINES.format(kind)))
    return np.asarray(resample_like(mask.with_array((mask.array > 0) * np.uint8(100)), ct.volume) >= 50)


def at_nodules(told: list[Piece], ct: CT, name: str) -> int:
    """How many findings lie within 15 mm of a nodule that is known and not outlined."""
    near = np.zeros(ct.volume.spatial_shape, np.bool_)
    for lesion in series.known_lesions(name):
        near |= ball(ct.volume, lesion, _NEAR_MM)
    return sum(bool((piece.mask & near).any()) for piece in told)


def described(every: list[Piece]) -> dict[str, Any]:
    """What is found, and what the rule leaves out."""
    told = found(every)
    return {
        "findings": len(told),
        "findings_ml": [round(piece.ml, 2) for piece in told],
        "peaks": [round(piece.peak, 3) for piece in told],
        "left_out": len(every) - len(told),
        "left_out_largest_ml": round(max((p.ml for p in every if p not in told), default=0.0), 2),
    }


def against(piece: Piece, truth: Mask, ct: CT) -> dict[str, Any]:
    """The largest finding against an outline."""
    return {
        "dice": dice(piece.mask, truth),
        "ml": round(piece.ml, 1),
        "outlined_ml": round(np.count_nonzero(truth) * ct.voxel_ml, 1),
        "longest_mm": round(diameters(piece.mask, ct.volume.spacing).longest.length_mm, 1),
        "outlined_longest_mm": round(diameters(truth, ct.volume.spacing).longest.length_mm, 1),
    }


def case(data: Path, name: str, backend: Backend) -> dict[str, Any]:
    """One CT. Where a tumour is outlined: the largest finding against it."""
    ct, outlined = series.read(data, name)
    started = process_time()
    every = pieces(ct, backend)
    result = described(every) | {
        "slices": ct.volume.spatial_shape[0],
        "cpu_seconds": round(process_time() - started, 1),
    }
    result["at_nodule"] = at_nodules(found(every), ct, name)
    truth = outline(data, ct, "manual") if name == RIDER.name else None
    if outlined is not None:
        truth = outlined.array > 0
    if truth is not None and (told := found(every)):
        result["largest"] = against(told[0], truth, ct) | {"peak": round(told[0].peak, 3)}
        result["false_ml"] = round(sum(piece.ml for piece in found(every) if not (piece.mask & truth).any()), 2)
    if name == RIDER.name and truth is not None:
        result["automatic_dice"] = dice(outline(data, ct, "automatic"), truth)
        draw(ct, every[0].mask if every else np.zeros_like(truth), truth, HERE / "pictures" / "rider.png")
    return result


def evaluate(data: Path, repository: Path) -> dict[str, Any]:
    """Everything that the card shows, but for the fold."""
    backend = OnnxBackend(repository)
    cases = {}
    for name in (*UNSEEN, *CTS):
        cases[name] = case(data, name, backend) | {"learned": name in CTS}
        print(name, json.dumps(cases[name]), flush=True)
    return {
        "sha256": backend.spec(SPEC.name).sha256,
        "bytes": model_path(SPEC, repository).stat().st_size,
        "cases": cases,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and dicom/")
    parser.add_argument("--repository", type=Path, default=ROOT)
    parser.add_argument("--fold", nargs=2, metavar=("REPOSITORY", "CT"), help="only: a model trained without that CT")
    options = parser.parse_args()
    before = json.loads((HERE / METRICS).read_text(encoding="utf-8")) if (HERE / METRICS).exists() else {}
    if options.fold:
        repository, name = options.fold
        metrics = before | {"fold": case(options.data, name, OnnxBackend(Path(repository))) | {"name": name}}
    else:
        metrics = evaluate(options.data, options.repository) | {"fold": before.get("fold")}
    write_metrics(HERE, metrics, render)


if __name__ == "__main__":
    main()

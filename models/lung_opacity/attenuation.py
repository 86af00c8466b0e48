"""Compare the service's split of opacity by attenuation with what the labels call ground glass and consolidation.

    python -m models.lung_opacity.attenuation --data DIR

DIR holds medseg9/. Writes attenuation.json beside this file and renders CARD.md, which shows it.
The service's rule (docs/decisions/0012) is applied to the labelled opacity, and compared with small networks that
learned it from the other patient.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.card import METRICS, write_metrics
from service.imaging.harmonise import MODEL_ORIENTATION
from service.pipelines.shared.measure import HIGH_OPACITY_HU, split_by_attenuation
from service.pipelines.shared.opacities import Opacity

from .card import ATTENUATION, render
from .data import MEDSEG9, Source, read
from .evaluate import auc, dice
from .split_head import compare_heads

HERE = Path(__file__).parent

GROUND_GLASS, CONSOLIDATION = 2, 3
"""Values of the labels."""

LIMITS_HU = (-500, -400, -350, -300, -250, -200, -150, -100, -50)

CONSISTENT_AUC = 0.8
"""How often a voxel of labelled consolidation has to be denser than one of labelled ground glass. Where it is more
seldom, the labels mean something else than attenuation can tell."""

Mask = NDArray[np.bool_]


def compare(source: Source) -> dict[str, Any]:
    """One volume: how far its labels follow attenuation, and how far the rule follows the labels at every limit."""
    hu = source.hu.to_patient_orientation(MODEL_ORIENTATION)
    labels = source.hu.with_array(source.labels).to_patient_orientation(MODEL_ORIENTATION).array
    opacity = labels >= GROUND_GLASS
    dense, inside = labels == CONSOLIDATION, hu.array[opacity]
    both = bool(dense.any() and (labels == GROUND_GLASS).any())
    result: dict[str, Any] = {
        "opacity_voxels": int(opacity.sum()),
        "consolidation_percent": _percent(dense[opacity]),
        "median_hu": {
            "ground_glass": _median(hu.array[labels == GROUND_GLASS]),
            "consolidation": _median(hu.array[dense]),
        },
        "auc": auc(inside.astype(float), dense[opacity]) if both else None,
    }
    result["consistent"] = both and result["auc"] >= CONSISTENT_AUC
    result["limits"] = {}
    for limit in LIMITS_HU:
        high = high_opacity(hu.array, opacity, hu.spacing[1:], limit)[opacity]
        result["limits"][str(limit)] = {"high_percent": _percent(high), **agreement(high, dense[opacity])}
    return result


def high_opacity(hu: NDArray[np.float32], opacity: Mask, spacing_mm: tuple[float, float], limit_hu: float) -> Mask:
    """What the service's own rule calls high opacity, were its limit another: only the distance to it matters."""
    moved = (hu + (HIGH_OPACITY_HU - limit_hu)).astype(np.float32)
    return np.asarray(split_by_attenuation(moved, opacity, spacing_mm) == Opacity.HIGH_OPACITY)


def agreement(high: Mask, dense: Mask) -> dict[str, float]:
    """Of the rule with the labels: Dice of the denser kind, and Cohen's kappa over all voxels (0: no more than chance).

    Kappa is 0 where either knows one kind only.
    """
    equal, p, q = float((high == dense).mean()), float(high.mean()), float(dense.mean())
    chance = p * q + (1 - p) * (1 - q)
    kappa = (equal - chance) / (1 - chance) if chance < 1 else 0.0
    return {"dice": dice(high, dense), "kappa": round(kappa, 3) + 0.0}  # -0.0 is 0.0


def evaluate(folder: Path) -> dict[str, Any]:
    """Every volume, and at every limit the mean over the consistent ones."""
    volumes, sources = {}, {name: read(folder, name) for name in MEDSEG9}
    for name, source in sources.items():
        volumes[name] = compare(source)
        print(name, json.dumps(volumes[name]), flush=True)
    used = [volume for volume in volumes.values() if volume["consistent"]]
    mean = {
        limit: {key: round(float(np.mean([v["limits"][limit][key] for v in used])), 3) for key in ("dice", "kappa")}
        for limit in map(str, LIMITS_HU)
    }
    heads = compare_heads(sources, {name: volume["limits"] for name, volume in volumes.items()}, agreement)
    return {
        "limit_hu": HIGH_OPACITY_HU,
        "consistent_auc": CONSISTENT_AUC,
        "volumes": volumes,
        "mean": mean,
        "other_patient": heads,
    }


def _percent(mask: Mask) -> float:
    return round(100.0 * float(mask.mean()), 1)


def _median(hu: NDArray[np.float32]) -> int | None:
    return int(np.median(hu)) if hu.size else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with medseg9/")
    options = parser.parse_args()
    (HERE / ATTENUATION).write_text(json.dumps(evaluate(options.data), indent=2) + "\n", encoding="utf-8")
    write_metrics(HERE, json.loads((HERE / METRICS).read_text(encoding="utf-8")), render)


if __name__ == "__main__":
    main()

"""Measure the network on a case, by the functions of the service."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.ports import Backend
from service.pipelines.shared.context_opacities import SLACK_ML, opacities_of
from service.pipelines.shared.domes import at_domes
from service.pipelines.shared.lungs import lungs_of, slice_answers
from service.pipelines.shared.opacities import find_opacities

from .cases import Case

Mask = NDArray[np.bool_]


def measure(case: Case, backend: Backend) -> dict[str, Any]:
    """Dice and volumes in the lungs that are found, against the network without context, and what tells the error.

    error: 1 - Dice with a slack of 20 mL, so that little false opacity in clear lungs is a small error.
    """
    ct = case.ct
    answers = slice_answers(ct, backend, lambda done: None)
    lungs = lungs_of(ct, answers, backend, lambda done: None)
    seen = opacities_of(ct, answers, lungs, backend, lambda done: None)
    inside = lungs.on_source > 0
    single = find_opacities(answers.grid.with_array(answers.opacity), lungs.on_model.array > 0, ct.volume) & inside
    domes = at_domes(case.lung if case.lung is not None else inside, float(ct.volume.spacing[0]))
    here = {"context": seen.opacity & inside & case.known, "single_slice": single & case.known}
    result: dict[str, Any] = {"lung_ml": round(np.count_nonzero(inside) * ct.voxel_ml)}
    for name, found in here.items():
        result[name] = _against(case, found, inside, domes)
    reliability = {key: value if value is None else round(value, 3) for key, value in asdict(seen.reliability).items()}
    return result | {"reliability": reliability}


def _against(case: Case, found: Mask, lungs: Mask, domes: Mask) -> dict[str, float | None]:
    ml, truth = case.ct.voxel_ml, case.opacity & case.known
    slack = SLACK_ML / ml
    volumes = {
        "opacity_ml": round(np.count_nonzero(found) * ml, 1),
        "error": round(1.0 - _dice(found, truth, slack), 3),
    }
    if not truth.any():
        return volumes | {
            "false_percent": round(100.0 * np.count_nonzero(found) / np.count_nonzero(lungs & case.known), 3)
        }
    return volumes | {
        "labelled_ml": round(np.count_nonzero(truth) * ml, 1),
        "dice": round(_dice(found, truth), 3),
        "dice_at_domes": round(_dice(found & domes, truth & domes), 3) if (truth & domes).any() else None,
        "dice_elsewhere": round(_dice(found & ~domes, truth & ~domes), 3),
    }


def _dice(found: Mask, truth: Mask, slack: float = 0.0) -> float:
    size = float(np.count_nonzero(found) + np.count_nonzero(truth)) + slack
    return (2.0 * np.count_nonzero(found & truth) + slack) / size if size else 1.0

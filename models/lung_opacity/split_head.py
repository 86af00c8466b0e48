"""Can a network tell ground glass from consolidation better than a limit of attenuation? Learned on one patient, asked
about the other.

Only where labels follow attenuation at all can either be learned: two patients of medseg9 (docs/decisions/0066). The
network sees of a voxel of labelled opacity the mean HU around it, over the opacity alone and over everything, the part
of the surroundings that is opacity, at five scales, and how much the opacity varies.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn
from torch.nn import functional as F

from service.imaging.harmonise import MODEL_ORIENTATION

from .data import Source

PATIENTS = (("medseg9/vol1",), ("medseg9/vol2", "medseg9/vol3"))

HIDDEN = (0, 16)
"""Units between the features and the answer; 0: logistic regression."""

_SCALES_MM = (1.0, 2.0, 4.0, 8.0, 16.0)
_VARIES_MM = 2.0
_HU = (-1000.0, 300.0)
_STEPS, _RATE = 300, 1e-2
_GROUND_GLASS, _CONSOLIDATION = 2, 3

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]


def features(source: Source) -> tuple[Values, Mask]:
    """What is seen of each voxel of labelled opacity, shape (voxel, feature), and whether it is consolidation."""
    volume = source.hu.to_patient_orientation(MODEL_ORIENTATION)
    labels = source.hu.with_array(source.labels).to_patient_orientation(MODEL_ORIENTATION).array
    opacity, hu = labels >= _GROUND_GLASS, volume.array.clip(*_HU).astype(np.float32)
    share = opacity.astype(np.float32)

    def around(values: Values, mm: float) -> Values:
        mean: Values = ndimage.gaussian_filter(values, [0.0, *(mm / pixel for pixel in volume.spacing[1:])])
        return mean

    def within(values: Values, mm: float) -> Values:
        return around(values * share, mm) / np.maximum(around(share, mm), 1e-3)

    seen = [(within(hu, mm), around(hu, mm), around(share, mm)) for mm in _SCALES_MM]
    spread = np.sqrt(np.maximum(within(hu * hu, _VARIES_MM) - within(hu, _VARIES_MM) ** 2, 0.0))
    each = [image[opacity] for scale in seen for image in scale]
    return np.stack([*each, spread[opacity]], 1), (labels == _CONSOLIDATION)[opacity]


def held_out(learned: Sequence[tuple[Values, Mask]], asked: Values, hidden: int) -> Mask:
    """What of `asked` is consolidation, by a network that learned other volumes, all with the same weight."""
    values, truth = (np.concatenate(parts) for parts in zip(*learned, strict=True))
    weight = torch.from_numpy(np.concatenate([np.full(len(y), 1.0 / len(y), np.float32) for _, y in learned]))
    mean, spread = values.mean(0), values.std(0) + 1e-6
    torch.manual_seed(0)
    count = values.shape[1]
    layers: list[nn.Module] = [nn.Linear(count, hidden), nn.ReLU()] if hidden else []
    network = nn.Sequential(*layers, nn.Linear(hidden or count, 1))
    x, y = torch.from_numpy((values - mean) / spread), torch.from_numpy(truth.astype(np.float32))
    optimiser = torch.optim.Adam(network.parameters(), _RATE, weight_decay=1e-4)
    for _ in range(_STEPS):
        each = F.binary_cross_entropy_with_logits(network(x)[:, 0], y, reduction="none")
        optimiser.zero_grad()
        ((each * weight).sum() / weight.sum()).backward()
        optimiser.step()
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy((asked - mean) / spread))[:, 0].numpy() > 0)


def compare_heads(volumes: dict[str, Source], limits: dict[str, Any], agreement: Any) -> dict[str, Any]:
    """Per volume, each learned on the other patient: the networks, and the limit of attenuation with the best kappa.

    limits: `attenuation.compare`'s of every volume. agreement: of a mask with the labels.
    """
    seen = {name: features(volumes[name]) for names in PATIENTS for name in names}
    found: dict[str, Any] = {}
    for learned, asked in (PATIENTS, PATIENTS[::-1]):
        kappa = {limit: np.mean([limits[name][limit]["kappa"] for name in learned]) for limit in limits[learned[0]]}
        best = max(kappa, key=lambda limit: float(kappa[limit]))
        for name in asked:
            values, truth = seen[name]
            said = {hidden: held_out([seen[one] for one in learned], values, hidden) for hidden in HIDDEN}
            heads = {str(hidden): agreement(mask, truth) for hidden, mask in said.items()}
            found[name] = {"limit_hu": int(best), "limit": limits[name][best], "heads": heads}
    return dict(sorted(found.items()))

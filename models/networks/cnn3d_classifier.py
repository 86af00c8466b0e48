"""The 3D CNN of Topff 2023: COVID-19, other pulmonary infection, or no imaging signs of infection. 85,555 parameters.

The paper names the layers and their sizes; padding (1, so that the size is kept) and the slope of LeakyReLU (torch's
0.01) are ours, and change no parameter.
"""

from itertools import pairwise

from torch import Tensor, nn

SHAPE = (64, 224, 224)
"""Slices, rows and columns of the paper's input."""

_FILTERS = (1, 16, 16, 32, 64)
_HIDDEN, _CLASSES = 128, 3


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, padding=1), nn.LeakyReLU(), nn.MaxPool3d(2), nn.BatchNorm3d(outputs)
    )


class Cnn3dClassifier(nn.Module):
    """Lungs 0-1, 0 outside them, shape (batch, 1, slices, rows, columns), at least 16 each, to logits (batch, 3).

    The classes are those of `covid_severity.classification.Infection`, in its order; softmax is the caller's.
    """

    def __init__(self) -> None:
        super().__init__()
        blocks = [_block(i, o) for i, o in pairwise(_FILTERS)]
        self.features = nn.Sequential(*blocks, nn.AdaptiveAvgPool3d(1), nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(_FILTERS[-1], _HIDDEN), nn.LeakyReLU(), nn.Dropout(0.30), nn.Linear(_HIDDEN, _CLASSES)
        )

    def forward(self, lungs: Tensor) -> Tensor:
        return self.head(self.features(lungs))

"""Balance contrast enhancement technique (BCET), an option of the segmentation network of Topff 2023.

Liu, J. G.: Balance contrast enhancement technique and its application in image colour composition. International
Journal of Remote Sensing 12 (1991) 2133-2151. A parabola y = a (x - b)^2 + c is laid through three conditions: the
image's minimum, maximum and mean become given values. It is part of the network's graph, so that serving repeats it.
"""

import torch
from torch import Tensor

MEAN = 110 / 255
"""Mean of the result. Topff 2023 names none; 110 of 255 is what Liu suggests."""


def bcet(image: Tensor, mean: float = MEAN) -> Tensor:
    """Each image of a batch (first axis) stretched to 0-1 with the given mean; same shape, float.

    With t the image stretched linearly to 0-1, every parabola that keeps 0 and 1 is t - k t (1 - t), and the mean
    settles k: Liu's solution without its poles. |k| > 1 would turn the order of grey values round, so k ends there
    and the mean is met as nearly as the order allows. An image of one value becomes 0.
    """
    axes = tuple(range(1, image.ndim))
    low, high = image.amin(axes, keepdim=True), image.amax(axes, keepdim=True)
    t = (image - low) / (high - low).clamp_min(1e-6)
    bow = t * (1 - t)
    k = (t.mean(axes, keepdim=True) - mean) / bow.mean(axes, keepdim=True).clamp_min(1e-6)
    return t - torch.clamp(k, -1.0, 1.0) * bow

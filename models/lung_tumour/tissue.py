"""What made-up tumours, and what lies beside them, look like: HU in a box."""

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from .bodies import Box, Field, lumps, share_of

_AIR_HU = -950.0


def grain(random: Generator, box: Box) -> Field:
    """Noise of a scan: in the plane smoother or sharper."""
    noise = random.normal(size=box.shape).astype(np.float32)
    sigma = random.uniform(0.0, 0.9)
    smooth = ndimage.gaussian_filter(noise, (0.0, sigma, sigma)) if sigma > 0.3 else noise
    return np.asarray(smooth / max(float(smooth.std()), 1e-3), np.float32)


def solid(random: Generator, box: Box) -> Field:
    """Soft tissue with texture and noise."""
    hu = random.uniform(0.0, 80.0) if random.random() < 0.8 else random.uniform(60.0, 120.0)
    texture = random.uniform(2.0, 20.0) * lumps(random, box, random.uniform(5.0, 20.0))
    return np.asarray(hu + texture + random.uniform(3.0, 25.0) * grain(random, box), np.float32)


def tumour(random: Generator, box: Box, depth: Field, radius_mm: float) -> Field:
    """HU of a tumour: sometimes dead or hollow in its middle, or calcified. depth: of `bodies.body`."""
    hu = solid(random, box)
    core = share_of(depth - radius_mm * random.uniform(0.25, 0.6), random.uniform(2.0, 10.0))
    if radius_mm > 12.0 and random.random() < 0.35:
        hu = hu - core * random.uniform(10.0, 50.0)
    if radius_mm > 8.0 and random.random() < 0.06:
        hu = hu + core * (_AIR_HU - hu)
    if random.random() < 0.06:
        spots = share_of(lumps(random, box, 5.0) - 2.2, 0.5)
        hu = hu + spots * random.uniform(150.0, 500.0)
    return np.asarray(hu, np.float32)


def airless(random: Generator, box: Box) -> Field:
    """HU of collapsed or consolidated lung, often with air in its bronchi."""
    hu = solid(random, box) + random.uniform(-10.0, 30.0)
    if random.random() < 0.6:
        bronchi = share_of(lumps(random, box, random.uniform(5.0, 9.0)) - random.uniform(1.2, 2.0), 0.5)
        hu = hu + bronchi * (random.uniform(-900.0, -500.0) - hu)
    return np.asarray(hu, np.float32)

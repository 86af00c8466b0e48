"""Surfaces over the columns of a lung's box: fits a parametric family of surfaces to a field.

A surface is a height per column. Heights of neighbouring columns go together (Gaussian process, squared exponential).
"""

from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Floats = NDArray[np.float64]
Probability = NDArray[np.uint8]
"""255 = certain; axes (lobe from head to feet, then as the box: slice to F, row to P, column to L)."""

STRENGTH = 0.01
"""Of the prior: what one standard deviation of one mode costs, in units of the field."""

_CORRELATION, _MODES = 0.45, 8
"""Over this part of the box the heights of a model's fissure go together; shapes per fissure."""

_POINTS = 3.6
"""Per length of correlation, for Nystroem's method."""

_NOISE, _DIGITS = 1e-9, 9
"""Eigenvalues that are smaller, as a part of the largest, are rounding errors; digits of a mode after the point."""

_STEP = 2
"""Every second column of the box is looked at."""

_STARTS = (-1.5, 0.0, 1.5)
"""First mode of each fissure, in standard deviations, from which the search starts."""

_MIN_ABOVE = 0.02
"""Where less probably lies above the oblique fissure, nothing is known of the horizontal one."""


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Surfaces mean + weights @ modes, where the weights have unit variance.

    Heights count the box's voxels from the centre of its first slice to the feet. mean: axes (fissure, row, column);
    the oblique fissure, then in the right lung the horizontal one. modes: axes (fissure, mode, row, column).
    """

    mean: Floats
    modes: Floats

    @classmethod
    def of(cls, probability: Probability) -> Self:
        """The family that a model's answer describes."""
        part = probability / 255.0
        above = [part[:-1].sum(0)]
        if len(part) == 3:  # the horizontal fissure parts what lies above the oblique one
            above.append(np.divide(part[0], above[0], out=np.zeros_like(above[0]), where=above[0] > _MIN_ABOVE))
        mean, deviation = map(np.stack, zip(*map(_moments, above), strict=True))
        return cls(mean, deviation[:, None] * modes(probability.shape[-1], _CORRELATION, _MODES))

    def heights(self, weights: Floats) -> Floats:
        """weights: axes (fissure, mode)."""
        return np.asarray(self.mean + np.einsum("fm,fmrc->frc", weights, self.modes))


def search(family: Family, field: Floats) -> tuple[Floats, float]:
    """The best heights, axes (fissure, row, column), and the sum of the field over them per column of the lung."""
    thin = Family(family.mean[:, ::_STEP, ::_STEP], family.modes[:, :, ::_STEP, ::_STEP])
    columns = max(1, int(np.count_nonzero(field[:, ::_STEP, ::_STEP].any(0))))
    along = _Along(field[:, ::_STEP, ::_STEP])
    shape = thin.modes.shape[:2]

    def cost(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(shape)
        value, change = along(thin.heights(weights))
        gradient = 2 * STRENGTH * weights - np.einsum("frc,fmrc->fm", change, thin.modes) / columns
        return STRENGTH * float((weights**2).sum()) - value / columns, gradient.ravel()

    found = []
    for first in np.stack(np.meshgrid(*[_STARTS] * shape[0]), -1).reshape(-1, shape[0]):
        start = np.zeros(shape)
        start[:, 0] = first
        found.append(minimize(cost, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 60}))
    weights = min(found, key=lambda result: float(result.fun)).x.reshape(shape)
    return family.heights(weights), along(thin.heights(weights))[0] / columns


class _Along:
    """A field along surfaces."""

    def __init__(self, field: Floats) -> None:
        self.field = field
        self.slope = np.gradient(field, axis=0)
        self.row, self.column = np.indices(field.shape[1:])

    def __call__(self, heights: Floats) -> tuple[float, Floats]:
        """The sum, and its change with each height. The horizontal fissure counts where it is above the oblique."""
        last = len(self.field) - 1.001
        counts = np.concatenate([np.ones_like(heights[:1], np.bool_), heights[1:] < heights[:1]])
        low, part = np.divmod(np.clip(heights, 0.0, last), 1.0)
        value, change = (self._at(array, low.astype(int), part) for array in (self.field, self.slope))
        inside = counts & (heights >= 0.0) & (heights <= last)
        return float(value[counts].sum()), np.where(inside, change, 0.0)

    def _at(self, array: Floats, low: NDArray[np.int_], part: Floats) -> Floats:
        upper, lower = array[low, self.row, self.column], array[low + 1, self.row, self.column]
        return np.asarray(upper * (1.0 - part) + lower * part)


def _moments(above: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of a height, from the probability of lying above it, axes (slice, row, column)."""
    slices = np.arange(len(above))[:, None, None]
    mean = above.sum(0)
    square = ((2 * slices + 1) * above).sum(0)
    return mean - 0.5, np.sqrt(np.maximum(square - mean**2, 0.0))


@cache
def modes(size: int, correlation: float, count: int) -> Floats:
    """Leading eigenfunctions of a squared exponential over the unit square, by Nystroem's method.

    Shape (mode, size, size); each scaled by its standard deviation. They are products of eigenfunctions over a line:
    in the square most eigenvalues are there twice, and which two of their eigenfunctions a solver finds depends on the
    processor and on the number of threads. Over a line each is there once.
    """
    values, functions = _line_modes(size, correlation)
    pairs = sorted(np.ndindex(len(values), len(values)), key=lambda pair: (-values[pair[0]] * values[pair[1]], pair))
    return np.stack([np.outer(functions[row], functions[column]) for row, column in pairs[:count]])


def _line_modes(size: int, correlation: float) -> tuple[Floats, Floats]:
    """Eigenvalues over the unit interval, the largest first, and eigenfunctions, shape (mode, size).

    Each begins positive, and is rounded: libraries differ in the last digits.
    """
    points = round(_POINTS / correlation)
    coarse, fine = ((np.arange(n) + 0.5) / n for n in (points, size))

    def covariance(a: Floats, b: Floats) -> Floats:
        return np.asarray(np.exp(-((a[:, None] - b) ** 2) / (2 * correlation**2)))

    values, vectors = np.linalg.eigh(covariance(coarse, coarse))
    known = np.flatnonzero(values > _NOISE * values.max())[::-1]
    functions = (covariance(fine, coarse) @ vectors[:, known] / np.sqrt(values[known])).T
    functions *= np.sign(functions[:, :1])
    return values[known], np.round(functions, _DIGITS)

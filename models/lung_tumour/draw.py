"""Stacks of slices that the network learns from, before augmentation: drawn at random from CTs, bank and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from . import bank
from .bank import Lesion
from .data import Volume
from .spec import REACH

COUNT = 2 * REACH + 1

_SECOND = 0.3
"""Part of the made-up lesions that get a second one in the same slice, if there is any."""

_JITTER = 45
"""Pixels by which a window's middle is off the tumour's, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """One example. hu: int16 (slice, row, column), edge: int8 as of `Volume`, masks: uint8 (2, row, column), tumour and
    known in the slice in the middle. centre: row and column of the window to learn from."""

    hu: NDArray[np.int16]
    edge: NDArray[np.int8]
    masks: NDArray[np.uint8]
    centre: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """volumes: CTs and their variants. lesions: of the bank. by_volume: numbers of the lesions of each CT.
    tumours: numbers of the CTs with an outlined tumour."""

    volumes: Sequence[Volume]
    lesions: Sequence[Lesion]
    by_volume: dict[int, list[int]]
    tumours: list[int]

    @classmethod
    def of(cls, volumes: Sequence[Volume], lesions: Sequence[Lesion]) -> Self:
        by_volume: dict[int, list[int]] = {number: [] for number in range(len(volumes))}
        for number, lesion in enumerate(lesions):
            by_volume[lesion.volume].append(number)
        return cls(volumes, lesions, by_volume, [k for k, one in enumerate(volumes) if one.tumour.any()])

    def real(self, random: Generator) -> Stack:
        """A slice with an outlined tumour, or next to one."""
        volume = self.volumes[self.tumours[int(random.integers(len(self.tumours)))]]
        middle = _one_of(random, np.flatnonzero(volume.tumour.any((1, 2)))) + int(random.integers(-1, 2))
        stack = _cut(volume, min(max(middle, 0), len(volume.hu) - 1))
        return _around(random, stack, stack.masks[0] > 0)

    def clear(self, random: Generator, domes: float = 0.0) -> Stack:
        """Any slice of lung, seldom one without. domes: part of them in the last quarter of the lung's slices."""
        volume = self.volumes[int(random.integers(len(self.volumes)))]
        lung = volume.lung.any((1, 2))
        if domes > 0.0 and random.random() < domes:
            slices = np.flatnonzero(lung)
            middle = _one_of(random, slices[3 * len(slices) // 4 :])
            return _around(random, _cut(volume, middle), volume.edge[middle] > 0)
        middle = _one_of(random, np.flatnonzero(lung if random.random() < 0.9 else np.ones_like(lung)))
        return _around(random, _cut(volume, middle), volume.lung[middle])

    def made(self, random: Generator) -> Stack:
        """A slice with one or two lesions of the bank."""
        lesion = self.lesions[int(random.integers(len(self.lesions)))]
        volume = self.volumes[lesion.volume]
        state = lesion.state
        tumour = (state == bank.TUMOUR).any((1, 2))
        any_change = (state != bank.AS_BEFORE).any((1, 2))
        where = tumour if tumour.any() and random.random() < 0.85 else any_change
        middle = lesion.corner[0] + _one_of(random, np.flatnonzero(where if where.any() else ~where))
        stack = _cut(volume, middle)
        others = [k for k in self.by_volume[lesion.volume] if _holds(self.lesions[k], middle)]
        if random.random() < _SECOND:
            _put(stack, self.lesions[others[int(random.integers(len(others)))]], volume, middle)
        changed = _put(stack, lesion, volume, middle)
        return _around(random, stack, changed)


def _one_of(random: Generator, numbers: NDArray[np.intp]) -> int:
    return int(numbers[random.integers(len(numbers))])


def _seen(volume: Volume, middle: int) -> NDArray[np.intp]:
    """Slices of the stack; the first and the last are repeated."""
    return np.arange(middle - REACH, middle + REACH + 1).clip(0, len(volume.hu) - 1)


def _cut(volume: Volume, middle: int) -> Stack:
    seen = _seen(volume, middle)
    masks = np.stack([volume.tumour[middle], volume.known[middle]]).astype(np.uint8)
    return Stack(volume.hu[seen], volume.edge[seen], masks, np.zeros(2, np.float32))


def _holds(lesion: Lesion, middle: int) -> bool:
    return lesion.slices.start <= middle < lesion.slices.stop


def _put(stack: Stack, lesion: Lesion, volume: Volume, middle: int) -> NDArray[np.bool_]:
    """Put a lesion into the stack. Returns where the slice in the middle changed."""
    z, rows, columns = (slice(c, c + n) for c, n in zip(lesion.corner, lesion.hu.shape, strict=True))
    for here, there in zip(stack.hu, _seen(volume, middle), strict=True):
        if z.start <= there < z.stop:
            plane = lesion.hu[there - z.start]
            here[rows, columns] = np.where(plane != volume.hu[there, rows, columns], plane, here[rows, columns])
    state = lesion.state[middle - z.start]
    tumour, known = (mask[rows, columns] for mask in stack.masks)
    tumour[state == bank.TUMOUR], tumour[state == bank.NOTHING] = 1, 0
    known[state == bank.UNKNOWN] = 0
    changed = np.zeros(stack.hu.shape[1:], np.bool_)
    changed[rows, columns] = state != bank.AS_BEFORE
    return changed


def _around(random: Generator, stack: Stack, mask: NDArray[np.bool_]) -> Stack:
    """The stack with a window near a random pixel of a mask; near the middle of the slice where that is empty."""
    at = np.argwhere(mask)
    centre = at[random.integers(len(at))] if len(at) else np.array(mask.shape) / 2.0
    off = random.uniform(-_JITTER, _JITTER, 2)
    size = np.array(mask.shape)
    stack.centre[:] = np.clip(centre + off, 0.3 * size, 0.7 * size)
    return stack


def tensors(stacks: Sequence[Stack]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """HU, edge, masks and centres of several examples, float."""
    parts = zip(*((one.hu, one.edge, one.masks, one.centre) for one in stacks), strict=True)
    hu, edge, masks, centre = (torch.from_numpy(np.stack(part)).float() for part in parts)
    return hu, edge, masks, centre

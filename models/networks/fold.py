"""Voxels folded into channels and back: fine voxels cost little where the first layer sees them as channels."""

from torch import Tensor


def folded(volume: Tensor, fold: tuple[int, int, int]) -> Tensor:
    """(batch, c, slices, rows, columns) to (batch, c n, slices / fold[0], ...), n the product of `fold`."""
    batch, channels, *sides = volume.shape
    z, y, x = (side // part for side, part in zip(sides, fold, strict=True))
    parts = volume.reshape(batch, channels, z, fold[0], y, fold[1], x, fold[2])
    return parts.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(batch, -1, z, y, x)


def unfolded(volume: Tensor, fold: tuple[int, int, int]) -> Tensor:
    """The inverse of `folded`."""
    batch, _, z, y, x = volume.shape
    parts = volume.reshape(batch, -1, *fold, z, y, x).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return parts.reshape(batch, -1, z * fold[0], y * fold[1], x * fold[2])

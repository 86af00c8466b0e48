"""The window every network sees through, as part of its graph: a caller cannot forget it or apply it twice."""

from torch import Tensor


def scaled(hu: Tensor, window_hu: tuple[float, float]) -> Tensor:
    """HU of any dtype, clipped to the window and scaled to 0-1; float32, same shape."""
    low, high = window_hu
    return (hu.float().clamp(low, high) - low) / (high - low)

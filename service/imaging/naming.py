"""Slices in words: by Instance Number (frame number in a multi-frame CT) and position, never more than a line."""

from collections.abc import Iterable, Sequence

from service.imaging.frames import Frame

_MOST = 16
"""Ranges that are written out."""


def named(frames: Sequence[Frame], which: Iterable[int]) -> str:
    """Say "slices 60-62, 70 (3 of 118; z -205.0 to -180.0 mm)"; `which`: indices of at least one frame."""
    chosen = [frames[k] for k in sorted(set(which))]
    heights_mm = [frame.position_mm[2] for frame in chosen]
    where = f"z {min(heights_mm):.1f} to {max(heights_mm):.1f} mm" if len(chosen) > 1 else f"z {heights_mm[0]:.1f} mm"
    numbers = sorted(frame.label for frame in chosen if frame.label is not None)
    written = f" {_ranges(numbers)}" if len(numbers) == len(chosen) else ""
    return f"slice{'s' if len(chosen) > 1 else ''}{written} ({len(chosen)} of {len(frames)}; {where})"


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers in order, neighbours together."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return ", ".join(words[:_MOST]) + (" and more" if len(words) > _MOST else "")

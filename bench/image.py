"""From the start of the service's image to its readiness; the image comes of `make image`."""

from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, Target
from tests.image.engines import Image, opened
from tests.image.smoke import serving

PART = "image"

_NAME = "thoracle"
_READY_S = Target(15.0)


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """Every start with an empty data directory; RuntimeError if there is no image."""
    with opened(_NAME) as image:
        yield Figure(PART, "size", "MB", (image.size_bytes() / 1e6,))
        ready_s = tuple(_ready_s(image, work / str(number)) for number in range(repeat))
        yield Figure(PART, "start to ready", "s", ready_s, _READY_S)


def _ready_s(image: Image, folder: Path) -> float:
    folder.mkdir()
    with serving(image, folder) as served:
        return served.ready_s

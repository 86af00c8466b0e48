"""`python -m tests.image [IMAGE]`: tries the image with the demo CT and says how big and how quick it is."""

import sys
import tempfile
from pathlib import Path

from demo.__main__ import HERE
from tests.image.checks import checked
from tests.image.engines import opened
from tests.image.smoke import serving


def main(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="image-") as temporary, opened(name) as image:
        folder = Path(temporary)
        print(f"{name}: {image.size_bytes() / 1e6:.0f} MB", flush=True)
        for sentence in checked(image, folder):
            print(f"  {sentence}", flush=True)
        with serving(image, folder) as served:
            print(f"  ready {served.ready_s:.1f} s after its start", flush=True)
            for description in sorted(served.round_trip(HERE / "ct", folder)):
                print(f"  sent back: {description}", flush=True)
            assert served.stop() == 0, "the service did not stop cleanly"
            print("  stopped on SIGTERM", flush=True)


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["thoracle"]))

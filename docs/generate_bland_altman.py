"""Draws docs/pictures/bland-altman.svg, the example in the how-to: `python docs/generate_bland_altman.py [--check]`.

The volumes are made up: the picture shows what the plot looks like, not how good any model is.
"""

import sys
from pathlib import Path

import numpy as np

from service.imaging.agreement import Agreement
from service.imaging.agreement.plot import bland_altman_svg

PICTURE = Path(__file__).parent / "pictures" / "bland-altman.svg"

CASES = 24


def picture() -> str:
    """Lungs: a small constant error; opacities: more is missed the more there is."""
    rng = np.random.default_rng(0)
    lung_ml, opacity_ml = rng.uniform(2500, 6500, CASES), rng.gamma(1.5, 150.0, CASES)
    found_ml = {
        "lung, made up": (lung_ml, lung_ml + rng.normal(-25, 60, CASES)),
        "opacity, made up": (opacity_ml, np.maximum(0.0, 0.85 * opacity_ml + rng.normal(5, 15, CASES))),
    }
    return bland_altman_svg(
        {
            label: {f"case {k}": Agreement(float(t), float(p)) for k, (t, p) in enumerate(zip(*both, strict=True))}
            for label, both in found_ml.items()
        }
    )


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(
            0
            if PICTURE.read_text(encoding="utf-8") == picture()
            else f"{PICTURE.name} is out of date: run {Path(__file__).name}"
        )
    PICTURE.write_text(picture(), encoding="utf-8")

"""What the card says of the noise floor."""

from collections.abc import Mapping
from typing import Any

from models.card import table

NOISE = "noise_floor.json"
"""Made by `models.opacity_context.noise_floor`, beside this file."""


def noise(found: Mapping[str, Any]) -> str:
    """What the noise floor rests on, and what it does to every case."""
    about = found["summary"]
    limits, percentile, largest = (
        "{} mL and {} %".format(*values)
        for values in (
            about["floor"].values(),
            (about["percentile_95_ml"], about["percentile_95_percent"]),
            (about["largest_ml"], about["largest_percent"]),
        )
    )
    rows = [
        [
            name,
            case["slice_distance_mm"],
            f"{sum(lobe['opacity_ml'] for lobe in case['lobes'].values()):.1f}",
            f"{max(lobe['false_ml'] for lobe in case['lobes'].values()):.1f}" if not case["pneumonia"] else "-",
            "{score} {category}".format(**case["published"]),
            "{score} {category}".format(**case["reported"]),
        ]
        for name, case in found["cases"].items()
    ]
    lesions = ", ".join(f"{name} ({case['lesions']})" for name, case in found["cases"].items() if _whole(name, case))
    most_of_vol6 = max(lobe["opacity_ml"] for lobe in found["cases"]["medseg9/vol6"]["lobes"].values())
    head = (
        "Case",
        "slices, mm",
        "opacity mL",
        "most false opacity in one lobe, mL",
        "published rule",
        "with the floor",
    )
    return f"""### Noise floor
Made by `python -m models.opacity_context.noise_floor --data DIR`; the numbers per lobe stand in `{NOISE}`.
A lobe is scored only if its opacity exceeds both {limits} of the lobe (decision 0125).

Five CTs without pneumonia, three of them also by every second slice: {about["lobes"]} lobes. False opacity in one lobe:
{percentile} at the 95th percentiles, {largest} at most. Lobes that exceed both limits: {about["lobes_above"]}.
Five patients are few: expect more false opacity elsewhere. Opacity that touches a known lesion is not false:
{lesions}: a tumour with an expert's
outline, then a mass, an apical opacity and a nodule that were seen in the images without a radiologist.

{table(head, rows)}
Each CT was measured by the network of a fold of the cross-validation that has not learned it; no network has learned
P001 and cap001, which the released one measured. medseg9/vol6 is hardly labelled: the floor does not help against the
{most_of_vol6:.0f} mL in one of its lobes.
"""


def _whole(name: str, case: Mapping[str, Any]) -> bool:
    return bool(case["lesions"]) and not name.endswith("slices")

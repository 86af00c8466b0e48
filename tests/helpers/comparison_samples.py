"""A comparison with an earlier CT, for results of the phantom by covid-severity."""

from datetime import datetime

from pydicom.uid import Comprehensive3DSRStorage, SegmentationStorage

from service.domain import codes
from service.domain.comparison import Change, Comparison, FindingChange, Match, PriorObject
from service.pipelines.shared import opacity_segments

DAYS = 366
VOLUME = Change("LUNG_TOTAL", "volume_ml", "Volume of both lungs", codes.MILLILITRE, 3000.0, 3196.0, DAYS, codes.VOLUME)
PART = Change(
    "LUNG_TOTAL",
    "opacity_percent",
    "Opacity, part of the lungs",
    codes.PERCENT,
    2.5,
    4.0,
    DAYS,
    opacity_segments.PERCENT_AFFECTED,
)
WITHHELD = Change("SEVERITY", "score", "CT severity score, 0-25", codes.SCORE, 7.0, None, DAYS, why_not="not told now")
GREW = Change("GROUND_GLASS", "volume_ml", "Volume", codes.MILLILITRE, 45.0, 90.0, DAYS, codes.VOLUME)
COMPARISON = Comparison(
    study_uid="1.2.826.0.1.3680043.8.498.77",
    series_uid="1.2.826.0.1.3680043.8.498.77.1",
    acquired=datetime(2023, 5, 1, 9, 30),
    days=DAYS,
    result="covid-severity 2.0, v1",
    headline="CT severity score, Pan 2020, 0-25: 7/25 moderate",
    numbers=(WITHHELD, VOLUME, PART),
    findings=(
        FindingChange("Ground-glass opacity", Match.MATCHED, "GROUND_GLASS", "GROUND_GLASS", (GREW,)),
        FindingChange("High opacity", Match.NEW, "HIGH_OPACITY", None),
        FindingChange("OLD of the earlier result", Match.GONE, None, "OLD"),
    ),
    overlap=0.94,
    remarks=("Another version of the pipeline: 1.0 then, 2.0 now.", "Kernel: B70f then, B40f now."),
    objects=(
        PriorObject("study", Comprehensive3DSRStorage, "1.2.826.0.1.3680043.8.498.78", "1.2.826.0.1.3680043.8.498.79"),
        PriorObject("lobes", SegmentationStorage, "1.2.826.0.1.3680043.8.498.80", "1.2.826.0.1.3680043.8.498.81"),
    ),
)

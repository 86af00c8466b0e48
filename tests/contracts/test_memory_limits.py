"""The largest CT that is analysed fits into the memory that the chart gives a worker."""

from pathlib import Path

import yaml

from service.domain.eligibility import BYTES_A_VOXEL, Limits
from service.pipelines import PIPELINES

VALUES = Path(__file__).parents[2] / "helm" / "thoracle" / "values.yaml"

ANY_CT_BYTES = 1.4e9
"""What the worker takes for any CT: libraries, models and what these compute with (docs/decisions/0162)."""

WATCHED = 0.9
"""Part of a container's memory at which an analysis is ended (`analysis.memory_limit_gb`)."""


def test_the_largest_ct_fits_into_a_workers_memory() -> None:
    resources = yaml.safe_load(VALUES.read_text(encoding="utf-8"))["worker"]["resources"]
    memory = float(resources["limits"]["memory"].removesuffix("Gi")) * 2**30
    for limits in (Limits(), *(pipeline.limits for pipeline in PIPELINES)):
        assert ANY_CT_BYTES + limits.max_voxels * BYTES_A_VOXEL <= WATCHED * memory

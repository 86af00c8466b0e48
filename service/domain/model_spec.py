"""Model inputs and outputs, written once and embedded in its ONNX file (metadata key `thoracle.spec`).

`triton_repo/<name>/config.pbtxt` is rendered from it. The file's SHA-256 stands in `triton_repo/SHA256SUMS`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

METADATA_KEY = "thoracle.spec"

DType = Literal[
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
]
"""Type of a tensor's values, as NumPy names it. Outputs of UINT8 are probabilities, 255 = certain."""

CALL_BATCH = 4
"""Images per call: more saves no time on a CPU and costs memory."""

_LEFT_OUT_WHEN_EMPTY = ("layout", "source", "noise_floor", "measured", "slice_mm")
"""Fields younger than the first released files, whose bytes and digests must stay."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor: `dims` without the batch axis; the meaning and order of the axes in `axes`."""

    name: str
    dtype: DType
    dims: tuple[int, ...]
    axes: tuple[str, ...]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of its channels, where the first axis names every one of them ("left, right"); else none."""
        names = tuple(self.axes[0].split(", ")) if self.axes else ()
        return names if self.dims and len(names) == self.dims[0] else ()


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as the service knows it.

    version: Triton's version folder and the version printed in results.
    max_batch: largest batch; the batch axis comes first.
    spacing_mm: in-plane spacing of the model's grid, or None where the grid is relative.
    slice_mm: thinner slices are averaged until they are at least this far apart; None: they stay as they are.
    window_hu: HU range that the graph clips to, or None.
    thresholds: decision threshold per output channel name.
    layout: how the model is fed, in a word that its role knows (`pipelines.shared.model_roles`); None in files older
    than the field, see `input_layout`.
    noise_floor: what it finds in patients without any finding, by name with its unit; None: not measured.
    measured: figures of the model's card that results quote, by name with their unit.
    source: where a model that a site installed came from; "" for those released with Thoracle.
    sha256: of the ONNX file; "" inside the file itself, filled in by the loader.
    runs_on: the provider that computes it, filled in by the loader; "" for the CPU, and for a server.
    """

    name: str
    version: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch: int
    spacing_mm: float | None = None
    window_hu: tuple[int, int] | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    licence: str = ""
    layout: str | None = None
    noise_floor: Mapping[str, float] | None = None
    measured: Mapping[str, float] = field(default_factory=dict)
    slice_mm: float | None = None
    source: str = ""
    sha256: str = ""
    runs_on: str = ""

    @property
    def input_layout(self) -> str:
        """`layout`; without one, slices if they have a spacing, else lungs in boxes."""
        return self.layout or ("lung-boxes" if self.spacing_mm is None else "plane-grid")

    @property
    def call_batch(self) -> int:
        """Images that the pipelines give it in one call."""
        return min(CALL_BATCH, self.max_batch)

    def to_json(self) -> str:
        """Stable JSON without what the loader fills in, as embedded in the ONNX file."""
        fields = asdict(self)
        del fields["sha256"], fields["runs_on"]
        for name in _LEFT_OUT_WHEN_EMPTY:
            if not fields[name]:
                del fields[name]
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, sha256: str) -> Self:
        """Inverse of `to_json`; TypeError or KeyError for an unknown or missing field."""
        fields: dict[str, Any] = json.loads(text)
        for key in ("inputs", "outputs"):
            fields[key] = tuple(
                TensorSpec(t["name"], t["dtype"], tuple(t["dims"]), tuple(t["axes"])) for t in fields[key]
            )
        if fields["window_hu"] is not None:
            fields["window_hu"] = tuple(fields["window_hu"])
        return cls(**fields, sha256=sha256)

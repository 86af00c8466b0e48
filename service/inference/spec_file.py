"""A model's spec as a person writes it: a TOML file with the fields of `ModelSpec`, checked word by word.

`version` and `sha256` are not in it: the repository numbers versions, and the digest is the file's.
"""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.domain.model_spec import DType, ModelSpec, TensorSpec
from service.errors import Permanent


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Tensor(_Table):
    name: str
    dtype: DType
    dims: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    axes: list[str]

    def spec(self) -> TensorSpec:
        return TensorSpec(self.name, self.dtype, tuple(self.dims), tuple(self.axes))


class _Spec(_Table):
    name: str
    layout: Annotated[str, Field(min_length=1)]
    inputs: list[_Tensor]
    outputs: list[_Tensor]
    max_batch: Annotated[int, Field(ge=1)]
    licence: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]
    spacing_mm: float | None = None
    slice_mm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    window_hu: Annotated[list[int], Field(min_length=2, max_length=2)] | None = None
    thresholds: dict[str, float] = Field(default_factory=dict)
    measured: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(default_factory=dict)
    noise_floor: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] | None = None


def read_spec(path: Path) -> ModelSpec:
    """The spec in a TOML file, without a version; Permanent with one sentence per mistake."""
    try:
        written = _Spec.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as exc:
        raise Permanent(f"The spec {path} cannot be read: {exc.strerror}.") from exc
    except ValidationError as exc:
        mistakes = [f"{'.'.join(map(str, m['loc']))}: {m['msg']}" for m in exc.errors()]
        raise Permanent(f"The spec {path} is wrong. " + "; ".join(mistakes)) from exc
    except ValueError as exc:
        raise Permanent(f"The spec {path} is not TOML: {exc}.") from exc
    window = written.window_hu
    return ModelSpec(
        name=written.name,
        version="",
        inputs=tuple(tensor.spec() for tensor in written.inputs),
        outputs=tuple(tensor.spec() for tensor in written.outputs),
        max_batch=written.max_batch,
        spacing_mm=written.spacing_mm,
        slice_mm=written.slice_mm,
        window_hu=(window[0], window[1]) if window else None,
        thresholds=written.thresholds,
        licence=written.licence,
        layout=written.layout,
        noise_floor=written.noise_floor,
        measured=written.measured,
        source=written.source,
    )

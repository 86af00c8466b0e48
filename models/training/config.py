"""What a training run is made of: one TOML file per model, checked before any data is read."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic import ValidationError as Invalid


class Strict(BaseModel):
    """Nothing unknown, nothing converted, nothing changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class OneCycle(Strict):
    """The rate rises to its highest for the first part `warm_up` of the steps, then falls to nothing."""

    kind: Literal["one-cycle"]
    warm_up: float = Field(gt=0.0, lt=1.0)


class Plateau(Strict):
    """The rate is multiplied by `factor` when the measure `watch` has not fallen for `patience` measurements."""

    kind: Literal["plateau"]
    watch: str
    factor: float = Field(gt=0.0, lt=1.0)
    patience: PositiveInt


class Training(Strict):
    """What every training has.

    batch: examples per step. rate: highest learning rate. clip: largest norm of the gradient, `inf` for any.
    average: decay of the running mean of the weights that is the result; 0 gives the last weights. bf16: compute
    the network in bfloat16 where torch thinks it safe.
    """

    seed: NonNegativeInt
    batch: PositiveInt
    rate: PositiveFloat
    weight_decay: NonNegativeFloat
    clip: PositiveFloat
    average: float = Field(ge=0.0, lt=1.0)
    bf16: bool
    schedule: Annotated[OneCycle | Plateau, Field(discriminator="kind")]


T = TypeVar("T", bound=Training)


def read(kind: type[T], path: Path, overrides: Mapping[str, Any]) -> T:
    """The file's configuration, changed by the command line's `overrides`; SystemExit says everything that is wrong."""
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")) | dict(overrides))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SystemExit(f"{path}: {error}") from error
    except Invalid as error:
        found = [f"{'.'.join(map(str, e['loc']))}: {e['msg']} (found {e['input']!r})" for e in error.errors()]
        raise SystemExit("\n".join([f"{path} is not a configuration of this training:", *found])) from error

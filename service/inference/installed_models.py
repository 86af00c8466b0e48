"""Lists the versions installed in a model repository, and which of them are served."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.domain.model_spec import ModelSpec
from service.domain.serving import NoSuchModel, Served
from service.errors import Permanent
from service.inference.files import (
    MODEL_FILE,
    embedded,
    model_folders,
    read_checked,
    read_digests,
    serving_of,
    version_folders,
)
from service.inference.onnx import load_model

NUMBERS = "numbers.json"
"""The highest number of each model of which a version was removed. A number is given once: a server may still hold the
file that had it."""


@dataclass(frozen=True, slots=True)
class Installed:
    """One version of one model, its file as released or installed. served: of the model."""

    spec: ModelSpec
    served: Served

    @property
    def state(self) -> str:
        """active, candidate, previous or installed."""
        return self.served.state_of(self.spec.version)


def installed(repository: Path) -> list[Installed]:
    """Returns every version of every model; Permanent if a file is missing, altered or without a spec."""
    digests, serving = read_digests(repository), serving_of(repository)
    return [
        Installed(spec_of(repository, version, digests), serving[folder.name])
        for folder in model_folders(repository)
        for version in version_folders(folder)
    ]


def served_of(repository: Path, name: str) -> Served:
    """Returns what is served of one model; Permanent if there is no such model."""
    serving = serving_of(repository)
    if name not in serving:
        raise NoSuchModel(f"There is no model {name} in {repository}; there are {', '.join(serving)}.")
    return serving[name]


def versions_of(repository: Path, name: str) -> list[str]:
    """Returns the installed versions of a model, the highest last; empty if there is no such model."""
    folder = repository / name
    return [version.name for version in version_folders(folder)] if folder in model_folders(repository) else []


def highest_version(repository: Path, name: str) -> int:
    """Returns the highest version of a model that is or was installed, 0 if there was none."""
    return max(numbers(repository).get(name, 0), *map(int, versions_of(repository, name)), 0)


def numbers(repository: Path) -> dict[str, int]:
    """Returns the highest removed number by model name; Permanent if the numbers cannot be read."""
    path = repository / NUMBERS
    try:
        said = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return {name: int(number) for name, number in said.items()}
    except (OSError, ValueError, TypeError, AttributeError) as exc:
        raise Permanent(f"The numbers that models had, {path}, cannot be read ({type(exc).__name__}).") from exc


def spec_of(repository: Path, version: Path, digests: Mapping[str, str]) -> ModelSpec:
    """Returns the spec in the model file of a version; Permanent if the file was altered. version: its folder."""
    key = (version / MODEL_FILE).relative_to(repository).as_posix()
    return embedded(read_checked(repository, key, digests), f"model file {key}")


def load_version(repository: Path, name: str, version: str) -> ModelSpec:
    """Load a version; returns its spec. Permanent if it does not load."""
    if version not in versions_of(repository, name):
        raise Permanent(f"There is no {name} version {version} in {repository}.")
    key = f"{name}/{version}/{MODEL_FILE}"
    return load_model(read_checked(repository, key, read_digests(repository)), key).spec


def beside(one: ModelSpec, other: ModelSpec) -> bool:
    """Returns whether Triton can serve two versions of a model at once: it has one configuration for all."""
    return (one.inputs, one.outputs, one.max_batch) == (other.inputs, other.outputs, other.max_batch)

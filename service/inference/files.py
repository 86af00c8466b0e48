"""Reads a model repository and checks what it reads; `service.inference.repository` changes it.

triton_repo/SHA256SUMS                     digests of every model file
triton_repo/serving.json                   which versions are served (`service.inference.serving_file`)
triton_repo/<name>/<version>/model.onnx    the spec is inside (`METADATA_KEY`)
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.domain.model_spec import ModelSpec
from service.domain.serving import OFF, Serving
from service.errors import Permanent
from service.inference.metadata import read_spec_text
from service.inference.serving_file import SERVING, read_serving

MODEL_FILE = "model.onnx"
DIGESTS = "SHA256SUMS"

LOST_AND_FOUND = "lost+found"
"""A folder of the file system's own, at the top of a new volume."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One version of one model. key: its path in the repository."""

    key: str
    content: bytes
    spec: ModelSpec


def model_files(repository: Path, versions: Mapping[str, str] | None = None) -> dict[str, ModelFile]:
    """One version of every model, by name: the active one, or that of `versions`, where it names one.

    A model of version `OFF` is left out. Permanent if a file is missing, altered or not what its spec says.
    """
    digests = read_digests(repository)
    chosen = {name: served.active for name, served in serving_of(repository).items()} | dict(versions or {})
    found = {
        folder.name: _model_file(repository, folder / chosen[folder.name], digests)
        for folder in model_folders(repository)
        if chosen[folder.name] != OFF
    }
    if not found:
        raise Permanent(f"There is no model in {repository}.")
    return found


def serving_of(repository: Path) -> Serving:
    """What is served of every model; Permanent if that cannot be read, or if a model has no version."""
    highest = {}
    for folder in model_folders(repository):
        versions = version_folders(folder)
        if not versions:
            raise Permanent(f"Model {folder.name} has no version folder in {folder}.")
        highest[folder.name] = versions[-1].name
    return read_serving(repository, highest)


def what_is_served(repository: Path) -> str:
    """The text of the two files that say which model files are served: it changes when they do."""
    try:
        return "".join(
            path.read_text(encoding="utf-8") for name in (SERVING, DIGESTS) if (path := repository / name).exists()
        )
    except OSError as exc:
        raise Permanent(f"What is served of {repository} cannot be read: {exc.strerror}.") from exc
    except ValueError as exc:
        raise Permanent(f"What is served of {repository} cannot be read: it is no text.") from exc


def read_digests(repository: Path) -> dict[str, str]:
    """SHA-256 by path relative to the repository, as `sha256sum` writes them; Permanent if it cannot be read."""
    try:
        lines = (repository / DIGESTS).read_text(encoding="utf-8").splitlines()
        return {path: digest for digest, path in (line.split("  ", 1) for line in lines if line)}
    except OSError as exc:
        raise Permanent(f"The model digests {repository / DIGESTS} cannot be read: {exc.strerror}.") from exc
    except ValueError as exc:
        raise Permanent(f"The model digests {repository / DIGESTS} are damaged: no list of `sha256sum`.") from exc


def digest_of(repository: Path, name: str, version: str) -> str | None:
    """SHA-256 of the file of one version as it is listed, None if it is not; Permanent as `read_digests`."""
    return read_digests(repository).get(f"{name}/{version}/{MODEL_FILE}")


def model_folders(repository: Path) -> list[Path]:
    """One folder per model name; hidden ones are work in progress (`service.inference.repository`).

    Permanent if it cannot be read.
    """
    try:
        own = [f for f in repository.iterdir() if not f.name.startswith(".") and f.name != LOST_AND_FOUND]
    except OSError as exc:
        raise Permanent(f"The model repository {repository} cannot be read: {exc.strerror}.") from exc
    return sorted(f for f in own if f.is_dir())


def version_folders(folder: Path) -> list[Path]:
    """The versions of one model, the highest last."""
    return sorted((v for v in folder.iterdir() if v.is_dir() and v.name.isdigit()), key=lambda v: int(v.name))


def read_checked(repository: Path, key: str, digests: Mapping[str, str]) -> bytes:
    """The bytes of a model file; Permanent if it is unreadable, unlisted or altered."""
    path = repository / key
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise Permanent(f"Model file {path} cannot be read: {exc.strerror}.") from exc
    digest = hashlib.sha256(content).hexdigest()
    if key not in digests:
        raise Permanent(f"Model file {key} is not listed in {DIGESTS}: it is not a released model.")
    if digest != digests[key]:
        raise Permanent(f"Model file {key} was altered: its SHA-256 is {digest}, not {digests[key]}.")
    return content


def embedded(model: bytes, where: str) -> ModelSpec:
    """The spec inside a model file; Permanent if there is none. where: named in the message."""
    try:
        text = read_spec_text(model)
    except ValueError as exc:
        raise Permanent(f"There is no spec in {where}: it is no ONNX file ({exc}).") from exc
    if text is None:
        raise Permanent(f"There is no spec in {where}.")
    try:
        return ModelSpec.from_json(text, hashlib.sha256(model).hexdigest())
    except (ValueError, KeyError, TypeError) as exc:
        raise Permanent(f"The spec in {where} cannot be read: {exc}.") from exc


def _model_file(repository: Path, chosen: Path, digests: Mapping[str, str]) -> ModelFile:
    key = (chosen / MODEL_FILE).relative_to(repository).as_posix()
    content = read_checked(repository, key, digests)
    spec = embedded(content, f"model file {key}")
    if (spec.name, spec.version) != (chosen.parent.name, chosen.name):
        raise Permanent(f"Model file {key} says it is {spec.name} version {spec.version}.")
    return ModelFile(key, content, spec)

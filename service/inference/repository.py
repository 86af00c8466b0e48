"""The model repository that ONNX Runtime and Triton share, and how it changes without ever being invalid.

    <repository>/SHA256SUMS                     digests of every model file
    <repository>/<name>/config.pbtxt            Triton's configuration, rendered from the spec of the active version
    <repository>/<name>/<version>/model.onnx    the spec is inside; the highest version is active

A change is prepared in a hidden folder, which nobody reads, and becomes true by one rename. Before it the file's digest
is already listed, after it the configuration follows: a kill in between leaves a repository that loads, and the next
change clears up. One change at a time, by a file lock.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.domain.model_roles import ROLES
from service.domain.model_spec import ModelSpec, TensorSpec
from service.errors import Permanent
from service.inference.files import (
    DIGESTS,
    MODEL_FILE,
    embedded,
    model_folders,
    read_checked,
    read_digests,
    version_folders,
)
from service.inference.metadata import read_spec_text, with_spec_text
from service.inference.onnx import load_model

CONFIG = "config.pbtxt"

_LOCK, _STAGING = ".lock", ".staging"
_TRITON_TYPES = {"int16": "TYPE_INT16", "uint8": "TYPE_UINT8", "float32": "TYPE_FP32"}


def render_config(spec: ModelSpec) -> str:
    """Triton's model configuration: complete, so that nothing is guessed when it is served."""

    def tensors(kind: str, declared: Sequence[TensorSpec]) -> str:
        return f"{kind} [\n" + ",\n".join(_tensor(tensor) for tensor in declared) + "\n]\n"

    text = f'# Generated from the spec inside the model file. Do not edit.\nname: "{spec.name}"\n'
    text += f'backend: "onnxruntime"\nmax_batch_size: {spec.max_batch}\n'
    text += tensors("input", spec.inputs) + tensors("output", spec.outputs)
    text += "instance_group [\n  {\n    kind: KIND_CPU\n    count: 1\n  }\n]\n"
    text += f"version_policy: {{ specific: {{ versions: [{spec.version}] }} }}\n"
    if spec.max_batch > 1:
        text += "dynamic_batching { }\n"
    return text


def _tensor(tensor: TensorSpec) -> str:
    dims = ", ".join(map(str, tensor.dims))
    return f'  {{\n    name: "{tensor.name}"\n    data_type: {_TRITON_TYPES[tensor.dtype]}\n    dims: [{dims}]\n  }}'


def render_digests(digests: Mapping[str, str]) -> str:
    """SHA-256 by path, in the format of `sha256sum`."""
    return "".join(f"{digest}  {key}\n" for key, digest in sorted(digests.items()))


@dataclass(frozen=True, slots=True)
class Installed:
    """One version of one model, its file as released or installed."""

    spec: ModelSpec
    active: bool


def installed(repository: Path) -> list[Installed]:
    """Every version of every model; Permanent if a file is missing, altered or without a spec."""
    digests = read_digests(repository)
    found = []
    for folder in model_folders(repository):
        versions = version_folders(folder)
        found += [Installed(_spec(repository, version, digests), version == versions[-1]) for version in versions]
    return found


def create(repository: Path, shipped: Path) -> None:
    """Make a new repository that holds the shipped models; Permanent if the folder holds anything else.

    The digests come last: without them the folder is no repository yet, and a second try starts over.
    """
    names = {folder.name for folder in model_folders(shipped)}
    with _changing(repository) as staging:
        if (repository / DIGESTS).exists():
            raise Permanent(f"{repository} is a model repository already.")
        foreign = sorted(p.name for p in repository.iterdir() if not p.name.startswith(".") and p.name not in names)
        if foreign:
            raise Permanent(
                f"{repository} holds {', '.join(foreign)} and is no model repository: take an empty folder."
            )
        for name in sorted(names):
            shutil.rmtree(repository / name, ignore_errors=True)
            for file in (path for path in (shipped / name).rglob("*") if path.is_file()):
                _write(staging / file.relative_to(shipped), file.read_bytes())
            (staging / name).rename(repository / name)
        _replace(repository / DIGESTS, (shipped / DIGESTS).read_text())


def highest_version(repository: Path, name: str) -> int:
    """The active version of a model, 0 if there is none."""
    folder = repository / name
    versions = version_folders(folder) if folder.is_dir() else []
    return int(versions[-1].name) if versions else 0


def add(repository: Path, model: bytes) -> ModelSpec:
    """Install a model file, whose spec is inside, as the version it says; it is active if that is the highest.

    Permanent if that version is there already or the repository cannot be written. Whether the model is any good has to
    be known before.
    """
    spec = embedded(model, "the new model")
    folder, key = repository / spec.name, f"{spec.name}/{spec.version}/{MODEL_FILE}"
    with _changing(repository) as staging:
        if (folder / spec.version).exists():
            raise Permanent(f"{spec.name} version {spec.version} is installed already.")
        prepared = staging / spec.name
        _write(prepared / spec.version / MODEL_FILE, model)
        _list(repository, _listed(repository) | {key: spec.sha256})
        if not folder.exists():
            _write(prepared / CONFIG, render_config(spec).encode())
            _rename(prepared, folder)
        else:
            _rename(prepared / spec.version, folder / spec.version)
            _configure(repository, spec.name)
    return spec


def remove(repository: Path, name: str, version: str | None = None) -> ModelSpec | None:
    """Remove one version, the active one unless named; returns the spec that is active now, None if none is left.

    Permanent if there is no such version, if the pipeline cannot do without it, or if the one before is no good.
    """
    folder = repository / name
    with _changing(repository) as staging:
        versions = [v.name for v in version_folders(folder)] if folder in model_folders(repository) else []
        gone = version or (versions[-1] if versions else "")
        if gone not in versions:
            raise Permanent(f"There is no {name} version {gone or 'at all'} in {repository}.")
        left = [v for v in versions if v != gone]
        if left:
            key = f"{name}/{left[-1]}/{MODEL_FILE}"
            active = load_model(read_checked(repository, key, read_digests(repository)), key).spec
            _replace(folder / CONFIG, render_config(active))
            _rename(folder / gone, staging / gone)
        else:
            if name not in ROLES or ROLES[name].required:
                raise Permanent(f"{name} version {gone} is the only one, and nothing can be analysed without it.")
            active = None
            _rename(folder, staging / name)
        _list(repository, _listed(repository))
    return active


def embed(model: bytes, spec: ModelSpec) -> bytes:
    """The model file with `spec` inside, the same bytes if it is there already; Permanent if it is no ONNX file."""
    try:
        return model if read_spec_text(model) == spec.to_json() else with_spec_text(model, spec.to_json())
    except ValueError as exc:
        raise Permanent(f"This is no ONNX file: {exc}.") from exc


@contextmanager
def _changing(repository: Path) -> Iterator[Path]:
    """An empty hidden folder to prepare the change in, with the lock held; Permanent if nothing can be written."""
    staging = repository / _STAGING
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with (repository / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            try:
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except OSError as exc:
        raise Permanent(
            f"The model repository {repository} cannot be changed: {exc.strerror or exc}. "
            "Name a folder that this user can write as `inference.repository` in the configuration."
        ) from exc


def _spec(repository: Path, version: Path, digests: Mapping[str, str]) -> ModelSpec:
    key = (version / MODEL_FILE).relative_to(repository).as_posix()
    return embedded(read_checked(repository, key, digests), f"model file {key}")


def _configure(repository: Path, name: str) -> None:
    """Render the configuration of the active version."""
    active = version_folders(repository / name)[-1]
    _replace(repository / name / CONFIG, render_config(_spec(repository, active, read_digests(repository))))


def _listed(repository: Path) -> dict[str, str]:
    """The digests as recorded, never computed again: an altered file must not become a released one."""
    return {key: digest for key, digest in read_digests(repository).items() if (repository / key).exists()}


def _list(repository: Path, digests: Mapping[str, str]) -> None:
    _replace(repository / DIGESTS, render_digests(digests))


def _write(path: Path, content: bytes) -> None:
    """On disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _sync(path.parent)


def _replace(path: Path, text: str) -> None:
    """The old text or the new one, never a part of either."""
    part = path.with_name(f".{path.name}.part")
    _write(part, text.encode())
    _rename(part, path)


def _rename(old: Path, new: Path) -> None:
    old.rename(new)
    _sync(new.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

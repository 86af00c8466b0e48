"""ONNX Runtime in this process, on the CPU, over the same repository that Triton serves.

    triton_repo/SHA256SUMS                     digests of every model file
    triton_repo/<name>/<version>/model.onnx    the spec is inside (`METADATA_KEY`)

All models are loaded and checked once, at the start. A fixed number of threads and no run-time tuning keep reruns
byte-identical. A session has one thread, and the caller brings as many as there are cores: two slices side by side
are faster than one on two cores.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    RuntimeException,
)

from service.domain.model_spec import METADATA_KEY, ModelSpec, TensorSpec
from service.domain.ports import Array
from service.errors import Permanent

MODEL_FILE = "model.onnx"
DIGESTS = "SHA256SUMS"
PROVIDER = "CPUExecutionProvider"

_ORT_ERRORS = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, RuntimeException)
_ORT_TYPES = {"int16": "tensor(int16)", "uint8": "tensor(uint8)", "float32": "tensor(float)"}


@dataclass(frozen=True, slots=True)
class Model:
    """One model, loaded and checked."""

    spec: ModelSpec
    session: ort.InferenceSession

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch; Permanent if the inputs are not what the spec says or the model fails."""
        _check_inputs(self.spec, inputs)
        outputs = [tensor.name for tensor in self.spec.outputs]
        try:
            answers = self.session.run(outputs, {k: np.ascontiguousarray(v) for k, v in inputs.items()})
        except _ORT_ERRORS as exc:
            raise Permanent(f"Model {self.spec.name} failed: {exc}") from exc
        return dict(zip(outputs, answers, strict=True))


class OnnxBackend:
    """`domain.ports.Backend`. Permanent at construction if a model is missing, altered or not what its spec says."""

    def __init__(self, repository: Path, threads: int = 2) -> None:
        self.concurrency = threads
        digests = read_digests(repository)
        self._models = {folder.name: _active(repository, folder, digests) for folder in model_folders(repository)}
        if not self._models:
            raise Permanent(f"There is no model in {repository}.")

    @property
    def specs(self) -> tuple[ModelSpec, ...]:
        """The specs of all models, by name."""
        return tuple(loaded.spec for loaded in self._models.values())

    def has(self, name: str) -> bool:
        return name in self._models

    def spec(self, name: str) -> ModelSpec:
        return self._model(name).spec

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch; Permanent if the inputs are not what the spec says or the model fails."""
        return self._model(name).infer(inputs)

    def _model(self, name: str) -> Model:
        if name not in self._models:
            raise Permanent(f"Model {name} is not installed; installed are {', '.join(self._models)}.")
        return self._models[name]


def read_digests(repository: Path) -> dict[str, str]:
    """SHA-256 by path relative to the repository, as `sha256sum` writes them; Permanent if the list is missing."""
    try:
        lines = (repository / DIGESTS).read_text().splitlines()
    except OSError as exc:
        raise Permanent(f"The model digests {repository / DIGESTS} cannot be read: {exc.strerror}.") from exc
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines if line)}


def model_folders(repository: Path) -> list[Path]:
    """One folder per model name; hidden ones are work in progress (`service.inference.repository`)."""
    return sorted(f for f in repository.iterdir() if f.is_dir() and not f.name.startswith("."))


def version_folders(folder: Path) -> list[Path]:
    """The versions of one model, the active one last."""
    return sorted((v for v in folder.iterdir() if v.is_dir() and v.name.isdigit()), key=lambda v: int(v.name))


def load_model(content: bytes, key: str) -> Model:
    """A model from the bytes of its file; Permanent if it is not what its spec says. key: its name in messages."""
    session = _session(content, key)
    spec = _embedded_spec(session, key, hashlib.sha256(content).hexdigest())
    _check_tensors(spec, session, key)
    return Model(spec, session)


def _active(repository: Path, folder: Path, digests: Mapping[str, str]) -> Model:
    """The highest version of one model."""
    versions = version_folders(folder)
    if not versions:
        raise Permanent(f"Model {folder.name} has no version folder in {folder}.")
    path = versions[-1] / MODEL_FILE
    key = path.relative_to(repository).as_posix()
    model = load_model(read_checked(repository, key, digests), key)
    if (model.spec.name, model.spec.version) != (folder.name, versions[-1].name):
        raise Permanent(f"Model file {key} says it is {model.spec.name} version {model.spec.version}.")
    return model


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


def _session(content: bytes, key: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    try:
        session = ort.InferenceSession(content, options, providers=[PROVIDER])
    except _ORT_ERRORS as exc:
        raise Permanent(f"Model file {key} cannot be loaded: {exc}") from exc
    if session.get_providers() != [PROVIDER]:
        raise Permanent(f"Model {key} would run on {session.get_providers()}, not on {PROVIDER}.")
    return session


def _embedded_spec(session: ort.InferenceSession, key: str, digest: str) -> ModelSpec:
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise Permanent(f"Model file {key} has no {METADATA_KEY} in its metadata.")
    try:
        return ModelSpec.from_json(text, digest)
    except (ValueError, KeyError, TypeError) as exc:
        raise Permanent(f"Model file {key} has an unreadable {METADATA_KEY}: {exc}") from exc


def _check_tensors(spec: ModelSpec, session: ort.InferenceSession, key: str) -> None:
    """The graph's inputs and outputs are those of the spec; the first axis is the free batch axis."""
    for declared, actual in ((spec.inputs, session.get_inputs()), (spec.outputs, session.get_outputs())):
        expected = [(t.name, _ORT_TYPES[t.dtype], t.dims) for t in declared]
        found = [(a.name, a.type, tuple(a.shape[1:])) for a in actual]
        if expected != found:
            raise Permanent(f"Model file {key} has tensors {found}, but its spec says {expected}.")


def _check_inputs(spec: ModelSpec, inputs: Mapping[str, Array]) -> None:
    expected = {tensor.name: tensor for tensor in spec.inputs}
    if inputs.keys() != expected.keys():
        raise Permanent(f"Model {spec.name} takes {sorted(expected)}, not {sorted(inputs)}.")
    for name, array in inputs.items():
        _check_input(spec, expected[name], array)


def _check_input(spec: ModelSpec, tensor: TensorSpec, array: Array) -> None:
    batch = array.shape[0] if array.ndim else 0
    if array.dtype != tensor.dtype or array.shape[1:] != tensor.dims or not 1 <= batch <= spec.max_batch:
        raise Permanent(
            f"Model {spec.name} takes {tensor.name} as {tensor.dtype} of shape (1-{spec.max_batch}, {tensor.dims}), "
            f"not {array.dtype} of shape {array.shape}."
        )

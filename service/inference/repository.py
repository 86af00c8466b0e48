"""The model repository that ONNX Runtime and Triton share, and how it changes without ever being invalid.

    <repository>/SHA256SUMS                     digests of every model file
    <repository>/serving.json                   which versions are served (`service.inference.serving_file`)
    <repository>/numbers.json                   the highest number of each model of which a version was removed
    <repository>/<name>/config.pbtxt            Triton's configuration (`service.inference.config` tells the others)
    <repository>/<name>/<version>/model.onnx    the spec is inside

A file is prepared in a hidden folder, which nobody reads, and is installed by one rename; its digest is listed before.
What is served changes by one rename of `serving.json`; the configuration is rendered before. A kill in between leaves a
repository that loads, and the next change clears up. One change at a time, by a file lock.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.domain.model_roles import ROLES
from service.domain.model_spec import ModelSpec
from service.domain.serving import OFF, NoSuchModel, Rule, Served, without
from service.errors import Permanent
from service.inference.config import render_configs
from service.inference.files import (
    DIGESTS,
    LOST_AND_FOUND,
    MODEL_FILE,
    embedded,
    model_folders,
    read_checked,
    read_digests,
    serving_of,
    version_folders,
)
from service.inference.metadata import read_spec_text, with_spec_text
from service.inference.onnx import load_model
from service.inference.serving_file import SERVING, render_serving

NUMBERS = "numbers.json"
"""A number is given once: a server may still hold the file that had it."""

_LOCK, _CHECKING, _STAGING = ".lock", ".checking", ".staging"


def render_digests(digests: Mapping[str, str]) -> str:
    """SHA-256 by path, in the format of `sha256sum`."""
    return "".join(f"{digest}  {key}\n" for key, digest in sorted(digests.items()))


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
    """Every version of every model; Permanent if a file is missing, altered or without a spec."""
    digests, serving = read_digests(repository), serving_of(repository)
    return [
        Installed(_spec(repository, version, digests), serving[folder.name])
        for folder in model_folders(repository)
        for version in version_folders(folder)
    ]


def create(repository: Path, shipped: Path) -> None:
    """Make a new repository that holds the shipped models; Permanent if the folder holds anything else.

    The digests come last: without them the folder is no repository yet, and a second try starts over.
    """
    names = {folder.name for folder in model_folders(shipped)}
    with _changing(repository) as staging:
        if (repository / DIGESTS).exists():
            raise Permanent(f"{repository} is a model repository already.")
        ours = names | {LOST_AND_FOUND}
        foreign = sorted(p.name for p in repository.iterdir() if not p.name.startswith(".") and p.name not in ours)
        if foreign:
            raise Permanent(
                f"{repository} holds {', '.join(foreign)} and is no model repository: take an empty folder."
            )
        for name in sorted(names):
            shutil.rmtree(repository / name, ignore_errors=True)
            for file in (path for path in (shipped / name).rglob("*") if path.is_file()):
                _write(staging / file.relative_to(shipped), file.read_bytes())
            (staging / name).rename(repository / name)
        _replace(repository / DIGESTS, (shipped / DIGESTS).read_text(encoding="utf-8"))


def highest_version(repository: Path, name: str) -> int:
    """The highest version of a model that is or was installed, 0 if there was none."""
    return max(_numbers(repository).get(name, 0), *map(int, versions_of(repository, name)), 0)


def _numbers(repository: Path) -> dict[str, int]:
    """By model name; Permanent if they cannot be read."""
    path = repository / NUMBERS
    try:
        said = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return {name: int(number) for name, number in said.items()}
    except (OSError, ValueError, TypeError, AttributeError) as exc:
        raise Permanent(f"The numbers that models had, {path}, cannot be read ({type(exc).__name__}).") from exc


def add(repository: Path, model: bytes) -> ModelSpec:
    """Install a model file, whose spec is inside, as the version it says. What is served does not change.

    Permanent if that version is there already or the repository cannot be written. Whether the model is any good has to
    be known before.
    """
    spec = embedded(model, "the new model")
    folder, key = repository / spec.name, f"{spec.name}/{spec.version}/{MODEL_FILE}"
    with _changing(repository) as staging:
        if (folder / spec.version).exists():
            raise Permanent(f"{spec.name} version {spec.version} is installed already.")
        if int(spec.version) <= (given := _numbers(repository).get(spec.name, 0)):
            raise Permanent(
                f"{spec.name} had a version {given} before, and no number is given twice: take a higher one."
            )
        prepared = staging / spec.name
        _write(prepared / spec.version / MODEL_FILE, model)
        _list(repository, _listed(repository) | {key: spec.sha256})
        # Said before the file is there: the highest version is active where nothing is said.
        _serve(repository, spec.name, serving_of(repository).get(spec.name, Served(OFF)))
        if not folder.exists():
            for path, text in render_configs(spec).items():
                _write(prepared / path, text.encode())
            _rename(prepared, folder)
        else:
            _rename(prepared / spec.version, folder / spec.version)
            _configure(repository, spec.name)
    return spec


def change(repository: Path, name: str, rule: Rule) -> Served:
    """Change what is served of a model; what is served now.

    Permanent, and nothing is changed, if the rule refuses it, or if a version that it names is not installed, altered,
    or cannot be loaded. Whether it is any good has to be known before.
    """
    with _changing(repository):
        served = served_of(repository, name)
        changed = rule(served)
        candidate = changed.candidate.version if changed.candidate else OFF
        _refuse_to_do_without(name, served, changed)
        for version in {changed.active, candidate} - {served.active, OFF}:
            _load(repository, name, version)
        _configure(repository, name, changed)
        _serve(repository, name, changed)
    return changed


@contextmanager
def checking(repository: Path, name: str, version: str, by: str) -> Iterator[None]:
    """Meanwhile no other version is checked, by no process on any host that shares the repository.

    by: who wants it. Permanent, in words, if another one is being checked. What a check that was killed has left listed
    for Triton is not any more.
    """
    with ExitStack() as held:
        with _in_words(repository):
            lock = held.enter_context((repository / _CHECKING).open("a+", encoding="utf-8"))
            lock.seek(0)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise Permanent(f"{lock.read() or 'Another version'} is being checked; try again in a minute.") from exc
            if lock.read():
                _configure_all(repository)
            lock.truncate(0)
            lock.write(f"{name} version {version}, for {by},")
            lock.flush()
            held.callback(lock.truncate, 0)
        yield


@contextmanager
def listed_for_trial(repository: Path, name: str, version: str) -> Iterator[None]:
    """Meanwhile Triton may load this version, too; afterwards it may load what is served then.

    A kill in between leaves it listed until the next change of this model, or the next check of any.
    """
    with _changing(repository):
        _configure(repository, name, tried=version)
    try:
        yield
    finally:
        with _changing(repository):
            _configure(repository, name)


def remove(repository: Path, name: str, version: str | None = None) -> ModelSpec | None:
    """Remove one version, the active one unless named; returns the spec that is active now, None if none is.

    If it was active, the one before it is; the last version of a model that the pipeline can do without just goes.
    Permanent if there is no such version, if the pipeline cannot do without it, or if there is none before it or that
    one is no good.
    """
    folder = repository / name
    with _changing(repository) as staging:
        versions = versions_of(repository, name)
        served = served_of(repository, name) if versions else Served(OFF)
        gone = version or served.active
        if versions and not gone:
            raise Permanent(f"No version of {name} is active; name the one to remove.")
        if gone not in versions:
            raise Permanent(f"There is no {name} version {gone or 'at all'} in {repository}.")
        left = [v for v in versions if v != gone]
        if not left and _required(name):
            raise Permanent(f"{name} version {gone} is the only one, and nothing can be analysed without it.")
        changed = without(served, gone) if left else None
        if changed:
            _refuse_to_do_without(name, served, changed)
        given = _numbers(repository) | {name: highest_version(repository, name)}
        numbers = json.dumps(given, sort_keys=True) + "\n"
        if changed:
            active = _load(repository, name, changed.active) if changed.active != OFF else None
            _replace(repository / NUMBERS, numbers)
            _configure(repository, name, changed, left)
            _serve(repository, name, changed)
            _rename(folder / gone, staging / gone)
        else:
            active = None
            _replace(repository / NUMBERS, numbers)
            _rename(folder, staging / name)
            _serve(repository, name, None)
        _list(repository, _listed(repository))
    return active


def served_of(repository: Path, name: str) -> Served:
    """What is served of one model; Permanent if there is no such model."""
    serving = serving_of(repository)
    if name not in serving:
        raise NoSuchModel(f"There is no model {name} in {repository}; there are {', '.join(serving)}.")
    return serving[name]


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
    with _in_words(repository):
        repository.mkdir(parents=True, exist_ok=True)
        with (repository / _LOCK).open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            try:
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _in_words(repository: Path) -> Iterator[None]:
    """Permanent, with the way out, if nothing can be written."""
    try:
        yield
    except OSError as exc:
        raise Permanent(
            f"The model repository {repository} cannot be changed: {exc.strerror or exc}. "
            "Name a folder that this user can write as `inference.repository` in the configuration."
        ) from exc


def _spec(repository: Path, version: Path, digests: Mapping[str, str]) -> ModelSpec:
    key = (version / MODEL_FILE).relative_to(repository).as_posix()
    return embedded(read_checked(repository, key, digests), f"model file {key}")


def _load(repository: Path, name: str, version: str) -> ModelSpec:
    """The spec of a version, which loads; Permanent if it does not."""
    if version not in versions_of(repository, name):
        raise Permanent(f"There is no {name} version {version} in {repository}.")
    key = f"{name}/{version}/{MODEL_FILE}"
    return load_model(read_checked(repository, key, read_digests(repository)), key).spec


def _required(name: str) -> bool:
    return name not in ROLES or ROLES[name].required


def _refuse_to_do_without(name: str, before: Served, after: Served) -> None:
    if after.active == OFF and before.active != OFF and _required(name):
        raise Permanent(f"Nothing can be analysed without {name}.")


def _configure(
    repository: Path,
    name: str,
    served: Served | None = None,
    versions: Sequence[str] | None = None,
    tried: str = OFF,
) -> None:
    """Render the configuration. served, versions: as they are to be, instead of as they are.

    It is that of the active version. Triton serves beside it those that may get a study, and the one that is tried, if
    they take and give the same tensors: where one version does not load, Triton serves none.
    """
    served = served or served_of(repository, name)
    versions = versions or versions_of(repository, name)
    digests = read_digests(repository)
    candidate = served.candidate.version if served.candidate else OFF
    wanted = dict.fromkeys((served.active, served.previous or OFF, candidate, tried))
    listed = [version for version in wanted if version in versions]

    def spec_of(version: str) -> ModelSpec:
        return _spec(repository, repository / name / version, digests)

    def is_alike(version: str) -> bool:
        try:
            return beside(spec_of(version), chosen)
        except Permanent:  # an altered file is not served, and keeps nobody from going back to a good one
            return False

    chosen = spec_of(listed[0] if listed else versions[-1])
    for path, text in render_configs(chosen, [v for v in listed if is_alike(v)]).items():
        _replace(repository / name / path, text)


def _configure_all(repository: Path) -> None:
    with _changing(repository):
        for folder in model_folders(repository):
            _configure(repository, folder.name)


def beside(one: ModelSpec, other: ModelSpec) -> bool:
    """Whether Triton can serve two versions of a model at once: it has one configuration for all."""
    return (one.inputs, one.outputs, one.max_batch) == (other.inputs, other.outputs, other.max_batch)


def versions_of(repository: Path, name: str) -> list[str]:
    """The installed versions of a model, the highest last; empty if there is no such model."""
    folder = repository / name
    return [version.name for version in version_folders(folder)] if folder in model_folders(repository) else []


def _serve(repository: Path, name: str, served: Served | None) -> None:
    """Say what is served of one model, None: nothing any more; of the others what is served already."""
    serving = dict(serving_of(repository))
    serving.pop(name, None)
    _replace(repository / SERVING, render_serving(serving | ({name: served} if served else {})))


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

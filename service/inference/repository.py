"""The model repository that ONNX Runtime and Triton share: versions are installed, served and removed.

    <repository>/SHA256SUMS                     digests of every model file
    <repository>/serving.json                   which versions are served (`service.inference.serving_file`)
    <repository>/numbers.json                   the highest number of each model of which a version was removed
    <repository>/<name>/config.pbtxt            Triton's configuration (`service.inference.config` tells the others)
    <repository>/<name>/<version>/model.onnx    the spec is inside

A file is prepared in a hidden folder, which nobody reads, and is installed by one rename; its digest is listed before.
What is served changes by one rename of `serving.json`; the configuration is rendered before. A kill in between leaves a
repository that loads, and the next change clears up. `repository_files` holds
these rules, `installed_models` reads, `repository_config` renders, `model_trial` is about a version that is checked.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from service.domain.model_spec import ModelSpec
from service.domain.serving import OFF, Rule, Served, without
from service.errors import Permanent
from service.inference.config import render_configs
from service.inference.files import DIGESTS, LOST_AND_FOUND, MODEL_FILE, embedded, model_folders, serving_of
from service.inference.installed_models import NUMBERS, highest_version, load_version, numbers, served_of, versions_of
from service.inference.metadata import read_spec_text, with_spec_text
from service.inference.repository_config import configure
from service.inference.repository_files import changing, listed, rename, replace, write, write_digests
from service.inference.serving_file import SERVING, render_serving

IsRequired = Callable[[], bool]
"""Whether a pipeline that runs needs a model. Called only where it matters: the answer takes seconds."""


def is_required() -> bool:
    """Returns True: the model is required."""
    return True


def create(repository: Path, shipped: Path) -> None:
    """Make a new repository that holds the shipped models; Permanent if the folder holds anything else.

    The digests come last: without them the folder is no repository yet, and a second try starts over.
    """
    names = {folder.name for folder in model_folders(shipped)}
    with changing(repository) as staging:
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
                write(staging / file.relative_to(shipped), file.read_bytes())
            (staging / name).rename(repository / name)
        replace(repository / DIGESTS, (shipped / DIGESTS).read_text(encoding="utf-8"))


def add(repository: Path, model: bytes) -> ModelSpec:
    """Install a model file, whose spec is inside, as the version it says. What is served does not change.

    Permanent if that version is there already or the repository cannot be written. Whether the model is any good has to
    be known before.
    """
    spec = embedded(model, "the new model")
    folder, key = repository / spec.name, f"{spec.name}/{spec.version}/{MODEL_FILE}"
    with changing(repository) as staging:
        if (folder / spec.version).exists():
            raise Permanent(f"{spec.name} version {spec.version} is installed already.")
        if int(spec.version) <= (given := numbers(repository).get(spec.name, 0)):
            raise Permanent(
                f"{spec.name} had a version {given} before, and no number is given twice: take a higher one."
            )
        prepared = staging / spec.name
        write(prepared / spec.version / MODEL_FILE, model)
        write_digests(repository, listed(repository) | {key: spec.sha256})
        # Said before the file is there: the highest version is active where nothing is said.
        _serve(repository, spec.name, serving_of(repository).get(spec.name, Served(OFF)))
        if not folder.exists():
            for path, text in render_configs(spec).items():
                write(prepared / path, text.encode())
            rename(prepared, folder)
        else:
            rename(prepared / spec.version, folder / spec.version)
            configure(repository, spec.name)
    return spec


def change(repository: Path, name: str, rule: Rule, required: IsRequired = is_required) -> Served:
    """Change what is served of a model; what is served now. required: whether a version has to stay active.

    Permanent, and nothing is changed, if the rule refuses it, or if a version that it names is not installed, altered,
    or cannot be loaded. Whether it is any good has to be known before.
    """
    with changing(repository):
        served = served_of(repository, name)
        changed = rule(served)
        candidate = changed.candidate.version if changed.candidate else OFF
        _refuse_to_do_without(name, served, changed, required)
        for version in {changed.active, candidate} - {served.active, OFF}:
            load_version(repository, name, version)
        configure(repository, name, changed)
        _serve(repository, name, changed)
    return changed


def remove(
    repository: Path, name: str, version: str | None = None, required: IsRequired = is_required
) -> ModelSpec | None:
    """Remove one version, the active one unless named; returns the spec that is active now, None if none is.

    If it was active, the one before it is; the last version of a model that is not required just goes. Permanent if
    there is no such version, if one is required and would be left out, or if there is none before it or that one is no
    good.
    """
    folder = repository / name
    with changing(repository) as staging:
        versions = versions_of(repository, name)
        served = served_of(repository, name) if versions else Served(OFF)
        gone = version or served.active
        if versions and not gone:
            raise Permanent(f"No version of {name} is active; name the one to remove.")
        if gone not in versions:
            raise Permanent(f"There is no {name} version {gone or 'at all'} in {repository}.")
        left = [v for v in versions if v != gone]
        if not left and required():
            raise Permanent(f"{name} version {gone} is the only one, and a pipeline that runs needs it.")
        changed = without(served, gone) if left else None
        if changed:
            _refuse_to_do_without(name, served, changed, required)
        given = numbers(repository) | {name: highest_version(repository, name)}
        given_text = json.dumps(given, sort_keys=True) + "\n"
        if changed:
            active = load_version(repository, name, changed.active) if changed.active != OFF else None
            replace(repository / NUMBERS, given_text)
            configure(repository, name, changed, left)
            _serve(repository, name, changed)
            rename(folder / gone, staging / gone)
        else:
            active = None
            replace(repository / NUMBERS, given_text)
            rename(folder, staging / name)
            _serve(repository, name, None)
        write_digests(repository, listed(repository))
    return active


def _serve(repository: Path, name: str, served: Served | None) -> None:
    """Say what is served of one model, None: nothing any more; of the others what is served already."""
    serving = dict(serving_of(repository))
    serving.pop(name, None)
    replace(repository / SERVING, render_serving(serving | ({name: served} if served else {})))


def _refuse_to_do_without(name: str, before: Served, after: Served, required: IsRequired) -> None:
    if after.active == OFF and before.active != OFF and required():
        raise Permanent(f"A pipeline that runs needs {name}.")


def embed(model: bytes, spec: ModelSpec) -> bytes:
    """The model file with `spec` inside, the same bytes if it is there already; Permanent if it is no ONNX file."""
    try:
        return model if read_spec_text(model) == spec.to_json() else with_spec_text(model, spec.to_json())
    except ValueError as exc:
        raise Permanent(f"This is no ONNX file: {exc}.") from exc

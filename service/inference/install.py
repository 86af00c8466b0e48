"""Turns a model file into a new version in the repository: it is described, tried, and only then installed."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from service.domain.model_roles import Role, mistakes
from service.domain.model_spec import ModelSpec
from service.errors import Permanent
from service.inference.files import embedded
from service.inference.installed_models import highest_version
from service.inference.repository import embed
from service.inference.smoke_test import try_model
from service.inference.spec_file import read_spec


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model file that fits its role and ran; seconds: of its trial, per image."""

    content: bytes
    spec: ModelSpec
    seconds: float


def check_digest(path: Path, expected: str | None) -> str:
    """SHA-256 of a file; Permanent if it is not the expected one or the file cannot be read."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as exc:
        raise Permanent(f"{path} cannot be read: {exc.strerror}.") from exc
    if expected is not None and digest != expected.strip().lower():
        raise Permanent(f"{path} is not the file you named: its SHA-256 is {digest}, not {expected}.")
    return digest


def describe(path: Path, digest: str, spec_file: Path | None, released: Collection[str]) -> ModelSpec:
    """The spec of a model file: that of the TOML file if there is one, else the one inside.

    digest: of the file. released: digests of the models released with Thoracle; every other one gets a `source`, by
    which results say that it is unmeasured.
    """
    spec = read_spec(spec_file) if spec_file else embedded(path.read_bytes(), f"{path}; describe it with --spec")
    if digest in released:
        return spec
    origin = f"{path.name}, SHA-256 {digest}"
    return replace(spec, source=f"{spec.source}; {origin}" if spec_file else spec.source or origin)


def prepare(repository: Path, model: bytes, spec: ModelSpec, roles: Mapping[str, Role]) -> Prepared:
    """Check a model against its role and try it; nothing is written. roles: that there are, by name.

    It keeps its version where that is higher than every one that was ever installed, else it gets the next. Permanent,
    in words, if anything is wrong with it.
    """
    if wrong := mistakes(spec, roles):
        raise Permanent("The spec does not fit. " + "; ".join(wrong) + ".")
    highest = highest_version(repository, spec.name)
    keeps = spec.version.isdigit() and int(spec.version) > highest
    numbered = spec if keeps else replace(spec, version=str(highest + 1))
    content = embed(model, numbered)
    return Prepared(content, numbered, try_model(content))

"""The licence of a Python package, by its metadata and by licences.toml: for the SBOM and docs/generate_licences.py."""

import tomllib
from collections.abc import Mapping
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

TABLES: Mapping[str, Any] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def licence_of(found: Distribution) -> str:
    """An SPDX expression; SystemExit names the package where none is known."""
    metadata = found.metadata
    if (name := canonicalize_name(metadata["Name"])) in TABLES["packages"]:
        return str(TABLES["packages"][name])
    if expression := metadata.get("License-Expression"):
        return expression
    classifiers = [
        one.split(" :: ")[-1] for one in metadata.get_all("Classifier") or () if one.startswith("License ::")
    ]
    for said in (*classifiers, *(metadata.get("License") or "").splitlines()[:1]):
        if said in TABLES["words"]:
            return str(TABLES["words"][said])
    raise SystemExit(f"{name}: its licence is not known: name it in docker/licences.toml")

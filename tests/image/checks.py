"""What an image must have, and must not. AssertionError says what is wrong."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.image.engines import Image
from tests.image.smoke import probe

LABELS = ("title", "description", "version", "revision", "licenses")


def checked(image: Image, folder: Path) -> Iterator[str]:
    """A sentence for each thing that is as it must be."""
    found = probe(image, folder)
    yield restricted(found)
    yield nothing_unwanted(found)
    assert found["trial_images"] > 100, "holds no CT on which models are tried"
    assert found["models_linked"], "the chart does not find its models"
    assert found["zone_known"], "has no time zones: TZ would count as UTC"
    yield listed(found["bill"], found["system"])
    yield labelled(image.config())


def restricted(found: Mapping[str, Any]) -> str:
    assert found["uid"] == 10001, f"runs as user {found['uid']}"
    assert found["capabilities"] == 0, f"has capabilities {found['capabilities']:x}"
    assert found["no_new_privileges"], "may get new privileges"
    assert found["read_only"], "its filesystem is not read-only"
    assert found["writable"] == ["/tmp", "/var/lib/thoracle"], f"may write {found['writable']}"
    return "runs as user 10001 without capabilities on a read-only filesystem, writes only its data and /tmp"


def nothing_unwanted(found: Mapping[str, Any]) -> str:
    assert found["modules"] == ["service"], f"holds {found['modules']}"
    assert found["programs"] == ["thoracle"], f"holds {found['programs']}"
    return "no torch, no tests, no pip, no compiler"


def listed(bill: Mapping[str, Any], system: Mapping[str, str]) -> str:
    """CycloneDX: the service, its Python packages and the system's. system: its /etc/os-release."""
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "thoracle")
    purls = [component["purl"] for component in bill["components"]]
    names = {component["name"] for component in bill["components"]}
    assert {"numpy", "onnxruntime", "libc6"} <= names, f"the SBOM lacks packages; it has {sorted(names)}"
    assert any(re.fullmatch(r"python3\.\d+", name) for name in names), "the SBOM lacks Python"
    assert "torch" not in names, "torch is in the SBOM"
    ours = re.compile(rf"pkg:deb/{system['ID']}/.+distro={system['ID']}-{system['VERSION_ID']}(&|$)")
    debs = [purl for purl in purls if purl.startswith("pkg:deb/")]
    assert all(ours.match(purl) for purl in debs), f"the SBOM calls packages of {system['NAME']} {debs[0]}"
    unlicensed = [component["name"] for component in bill["components"] if not component.get("licenses")]
    assert not unlicensed, f"the SBOM has no licence of {unlicensed}"
    of_python = sum(purl.startswith("pkg:pypi/") for purl in purls)
    return f"SBOM: {of_python} Python packages, {len(debs)} of {system['NAME']}"


def labelled(config: Mapping[str, Any]) -> str:
    labels = {key: value for key, value in config["Labels"].items() if key.startswith("org.opencontainers.image.")}
    missing = [name for name in LABELS if f"org.opencontainers.image.{name}" not in labels]
    assert not missing, f"labels are missing: {missing}"
    empty = [name for name, value in labels.items() if not value]
    assert not empty, f"labels say nothing: {empty}"
    assert "Research use only" in labels["org.opencontainers.image.description"], "nothing says: research use only"
    revision = labels["org.opencontainers.image.revision"]
    return f"version {labels['org.opencontainers.image.version']}, revision {revision}"

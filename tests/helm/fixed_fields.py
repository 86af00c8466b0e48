"""Of manifests, what Kubernetes lets nobody change, or what a volume is found by."""

from collections.abc import Iterable, Mapping
from typing import Any

_CHANGEABLE = {
    "replicas",
    "template",
    "updateStrategy",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
    "ordinals",
    "revisionHistoryLimit",
}
"""Of a StatefulSet's spec; all else is fixed (the API server says so when one tries)."""


def fixed(manifests: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """By kind and name. Hooks are made anew at every upgrade."""
    found: dict[str, Any] = {}
    for one in manifests:
        kind, metadata, spec = one["kind"], one["metadata"], one.get("spec", {})
        name = f"{kind}/{metadata['name']}"
        if kind == "StatefulSet":
            found[name] = {key: value for key, value in spec.items() if key not in _CHANGEABLE}
        elif kind == "Deployment":
            found[name] = spec["selector"]
        elif kind == "Service":
            found[name] = {"clusterIP": spec.get("clusterIP")}
    return found

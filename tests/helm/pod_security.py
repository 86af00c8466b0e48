"""Kubernetes' Pod Security Standard "restricted", and two rules of our own."""

from collections.abc import Iterator, Mapping
from typing import Any

_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(spec: Mapping[str, Any]) -> Iterator[str]:
    """What of a pod's spec the standard forbids (https://kubernetes.io/docs/concepts/security/pod-security-standards)."""
    yield from (shared for shared in ("hostNetwork", "hostPID", "hostIPC") if spec.get(shared))
    yield from (f"volume {v['name']}" for v in spec.get("volumes", []) if not set(v) - {"name"} <= _VOLUMES)
    if spec.get("automountServiceAccountToken") is not False:
        yield "a token of the cluster (ours)"
    for container in (*spec["containers"], *spec.get("initContainers", [])):
        own = container.get("securityContext", {})
        yield from _of_container(own, spec.get("securityContext", {}) | own)
        if any("hostPort" in port for port in container.get("ports", [])):
            yield "hostPort"


def _of_container(own: Mapping[str, Any], both: Mapping[str, Any]) -> Iterator[str]:
    """both: over that of its pod."""
    capabilities = own.get("capabilities", {})
    kept = {
        "may run as root": both.get("runAsNonRoot") is True and both.get("runAsUser") != 0,
        "no seccomp profile": both.get("seccompProfile", {}).get("type") in _SECCOMP,
        "may gain privileges": own.get("allowPrivilegeEscalation") is False and not own.get("privileged"),
        "keeps capabilities": "ALL" in capabilities.get("drop", []),
        "adds capabilities": set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
        "writes to its root filesystem (ours)": own.get("readOnlyRootFilesystem") is True,
    }
    yield from (rule for rule, holds in kept.items() if not holds)

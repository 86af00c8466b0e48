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
    pod = spec.get("securityContext", {})
    for shared in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(shared):
            yield shared
    for volume in spec.get("volumes", []):
        if not set(volume) - {"name"} <= _VOLUMES:
            yield f"volume {volume['name']}"
    if spec.get("automountServiceAccountToken") is not False:
        yield "a token of the cluster (ours)"
    for container in (*spec["containers"], *spec.get("initContainers", [])):
        own = container.get("securityContext", {})
        both = pod | own
        if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
            yield "may run as root"
        if both.get("seccompProfile", {}).get("type") not in _SECCOMP:
            yield "no seccomp profile"
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield "may gain privileges"
        if "ALL" not in own.get("capabilities", {}).get("drop", []):
            yield "keeps capabilities"
        if set(own.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
            yield "adds capabilities"
        if any("hostPort" in port for port in container.get("ports", [])):
            yield "hostPort"
        if own.get("readOnlyRootFilesystem") is not True:
            yield "writes to its root filesystem (ours)"

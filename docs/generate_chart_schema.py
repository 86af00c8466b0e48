"""Writes helm/thoracle/values.schema.json from the settings: `python docs/generate_chart_schema.py [--check]`.

Under `config` stand the service's own settings, less secrets and what the chart decides; the rest is the chart's.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.settings import Settings

SCHEMA = Path(__file__).parents[1] / "helm" / "thoracle" / "values.schema.json"

CHART_DECIDES = (
    "data_dir",
    "api.host",
    "api.port",
    "api.probes_port",
    "monitoring",
    "receiver.host",
    "receiver.port",
)

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=63)]
Absent = Literal[""]
MaybeName = Name | Absent
Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9.]+([eEinumkKMGTP]+)?$")]
Cidr = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$")]
Absolute = Annotated[str, StringConstraints(pattern=r"^/")]
Zone = Annotated[str, StringConstraints(pattern=r"^([A-Z][A-Za-z0-9_+/-]*)?$")]
Strings = dict[str, str]
Ports = Annotated[int, Field(ge=1, le=65535)]
Kubernetes = list[dict[str, Any]]
"""Passed on as it is: Kubernetes itself judges it."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Image(_Strict):
    repository: str
    tag: str
    pullPolicy: Literal["Always", "IfNotPresent", "Never"]


class Database(_Strict):
    secret: MaybeName


class S3(_Strict):
    secret: MaybeName
    ca: Absolute | Absent


class EncryptionSecret(_Strict):
    secret: MaybeName


class TrialServer(_Strict):
    image: str
    size: Quantity


class Trial(_Strict):
    enabled: bool
    secret: Name
    storageClass: MaybeName
    postgresql: TrialServer
    s3: TrialServer


class Models(_Strict):
    claim: MaybeName
    subPath: MaybeName


class Dicom(_Strict):
    type: Literal["LoadBalancer", "NodePort", "ClusterIP"]
    port: Ports
    sourceRanges: list[Cidr] = Field(min_length=1)
    externalTrafficPolicy: Literal["Local", "Cluster"]
    annotations: Strings


class Resources(_Strict):
    requests: dict[str, Quantity]
    limits: dict[str, Quantity]


class Pods(_Strict):
    resources: Resources
    nodeSelector: Strings
    tolerations: Kubernetes


class SinglePod(Pods):
    volume: Quantity
    storageClass: MaybeName


class Replicas(Pods):
    replicas: int = Field(ge=1)


class Workers(Replicas):
    runtimeClassName: MaybeName


class Triton(Replicas):
    enabled: bool
    image: Image
    modelConfig: Literal["cpu", "gpu", "tensorrt"]
    gpus: int = Field(ge=1)
    runtimeClassName: MaybeName
    sharedMemory: Quantity
    enginesClaim: MaybeName


class Autoscaling(_Strict):
    by: Literal["none", "keda", "hpa"]
    min: int = Field(ge=1)
    max: int = Field(ge=1)
    queuedPerWorker: int = Field(ge=1)
    prometheus: Annotated[str, StringConstraints(pattern="^https?://")] | Absent


class Labelled(_Strict):
    enabled: bool
    labels: Strings


class ServiceMonitor(Labelled):
    interval: Annotated[str, StringConstraints(pattern="^[0-9]+(s|m)$")]


class Monitoring(_Strict):
    serviceMonitor: ServiceMonitor
    rules: Labelled
    dashboards: Labelled


class Ingress(_Strict):
    enabled: bool
    className: MaybeName
    host: MaybeName
    tlsSecret: MaybeName
    loginBy: str
    annotations: Strings


class LoginSecret(_Strict):
    openidSecret: MaybeName


class NetworkPolicy(_Strict):
    enabled: bool
    apiFrom: Kubernetes
    metricsFrom: Kubernetes
    egress: Kubernetes


class ServiceAccount(_Strict):
    annotations: Strings


class Values(_Strict):
    """Values of the Helm chart."""

    mode: Literal["single", "cluster"]
    config: Settings
    timeZone: Zone
    image: Image
    pullSecrets: list[Name]
    database: Database
    s3: S3
    encryption: EncryptionSecret
    destinationSecrets: dict[str, Name]
    certificates: dict[Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")], Name]
    trial: Trial
    models: Models
    dicom: Dicom
    single: SinglePod
    receiver: Replicas
    worker: Workers
    api: Replicas
    triton: Triton
    autoscaling: Autoscaling
    monitoring: Monitoring
    login: LoginSecret
    ingress: Ingress
    networkPolicy: NetworkPolicy
    disruptionBudgets: bool
    serviceAccount: ServiceAccount
    priorityClassName: MaybeName
    podAnnotations: Strings
    podLabels: Strings
    extraEnv: Kubernetes
    extraVolumes: Kubernetes
    extraVolumeMounts: Kubernetes
    nameOverride: MaybeName
    fullnameOverride: MaybeName


def schema() -> dict[str, Any]:
    whole = Values.model_json_schema()
    definitions = whole["$defs"]
    for path in CHART_DECIDES:
        *groups, name = path.split(".")
        where = definitions["Settings"]
        for group in groups:
            where = definitions[where["properties"][group]["$ref"].rsplit("/", 1)[-1]]
        del where["properties"][name]
    for definition in definitions.values():
        _without_secrets(definition)
    _only_such_keys(whole)
    whole["properties"]["global"] = {
        "type": "object",
        "description": "Helm's own, where this is a part of another chart",
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | _used(_plain(whole))


def _without_secrets(definition: dict[str, Any]) -> None:
    properties = definition.get("properties", {})
    for name, field in list(properties.items()):
        if any(option.get("writeOnly") for option in (field, field.get("items", {}), *field.get("anyOf", []))):
            del properties[name]
            if name in definition.get("required", []):
                definition["required"].remove(name)


def _only_such_keys(node: Any) -> None:
    """Of a mapping whose keys have a pattern, pydantic's schema lets every other key pass."""
    if isinstance(node, dict) and "patternProperties" in node:
        node["additionalProperties"] = False
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _only_such_keys(item)


def _plain(node: Any, names: bool = False) -> Any:
    """Without titles, which say nothing, and defaults, which values.yaml or the service has. names: are node's keys."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    dropped = () if names else ("title", "default")
    below = ("properties", "$defs", "patternProperties")
    return {key: _plain(value, not names and key in below) for key, value in node.items() if key not in dropped}


def _used(whole: dict[str, Any]) -> dict[str, Any]:
    """Without definitions that nothing refers to any more."""
    while True:
        text = json.dumps(whole)
        unused = [name for name in whole["$defs"] if f'"#/$defs/{name}"' not in text]
        if not unused:
            return whole
        for name in unused:
            del whole["$defs"][name]


def text() -> str:
    return json.dumps(schema(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(
            0
            if SCHEMA.read_text(encoding="utf-8") == text()
            else f"{SCHEMA.name} is out of date: run {Path(__file__).name}"
        )
    SCHEMA.write_text(text(), encoding="utf-8")

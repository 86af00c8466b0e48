"""What every value set renders: valid for Kubernetes, restricted, and each name leads somewhere."""

from collections.abc import Mapping
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from helpers.helm_chart import VALUE_SETS, Manifest, component, helm, merged_values, of_kind, pods, render
from pod_security import violations

from service.ops.api import SelfReport, create_app
from service.ops.probes import create_monitor

pytestmark = pytest.mark.peers

each = partial(pytest.mark.parametrize, "values", ids=lambda path: path.stem.removesuffix("-values"))
MERGED = {values: merged_values(values) for values in VALUE_SETS}
IN_A_CLUSTER = [values for values, merged in MERGED.items() if merged["mode"] == "cluster"]
BEHIND_POLICIES = [values for values, merged in MERGED.items() if merged["networkPolicy"]["enabled"]]

KUBERNETES = ("1.27", "1.36")
"""Chart.yaml's oldest, and the newest that kubernetes-validate knows."""

CUSTOM = yaml.safe_load((Path(__file__).parent / "custom_resources.yaml").read_text())


@each(VALUE_SETS)
def test_helm_finds_nothing_to_complain_about(values: Path) -> None:
    result = helm("lint", "--strict", "--values", str(values))
    assert result.returncode == 0, result.stdout + result.stderr


@each(VALUE_SETS)
def test_every_manifest_is_valid(values: Path) -> None:
    for manifest in render(values):
        if manifest["kind"] in CUSTOM:
            jsonschema.validate(manifest, CUSTOM[manifest["kind"]])
            continue
        for version in KUBERNETES:
            kubernetes_validate.validate(manifest, version, strict=True)


@each(VALUE_SETS)
def test_names_are_given_once_and_fit(values: Path) -> None:
    names = [(m["kind"], m["metadata"]["name"]) for m in render(values)]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for _, name in names)


@each(VALUE_SETS)
def test_copies_of_encrypted_files_lie_in_memory(values: Path) -> None:
    in_memory = {
        volume["emptyDir"].get("medium") == "Memory"
        for manifest in of_kind(render(values), "Deployment", "StatefulSet")
        for volume in manifest["spec"]["template"]["spec"]["volumes"]
        if volume["name"] == "tmp" and component(manifest) in ("receiver", "worker", "api", "single")
    }
    assert in_memory == {bool(MERGED[values]["encryption"]["secret"])}


@each(VALUE_SETS)
def test_pods_are_restricted(values: Path) -> None:
    found = {name: list(violations(pod["spec"])) for name, pod in pods(render(values))}
    assert found
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@each(VALUE_SETS)
def test_every_container_says_what_it_needs(values: Path) -> None:
    for name, pod in pods(render(values)):
        for container in pod["spec"]["containers"]:
            resources = container["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]), name
            assert "memory" in resources["limits"], name


@each(VALUE_SETS)
def test_who_tries_models_has_room_for_an_analysis(values: Path) -> None:
    """The API, too: a promotion by HTTP runs the gate in its process, which takes 1.5 GB."""
    for manifest in of_kind(render(values), "Deployment", "StatefulSet"):
        if component(manifest) in ("single", "worker", "api"):
            (container,) = manifest["spec"]["template"]["spec"]["containers"]
            resources = container["resources"]
            assert _gib(resources["requests"]) >= 2, component(manifest)
            assert _gib(resources["limits"]) >= 3, component(manifest)


@each(VALUE_SETS)
def test_selectors_find_the_pods_of_one_workload(values: Path) -> None:
    manifests = render(values)
    for one in of_kind(manifests, "Deployment", "StatefulSet"):
        assert _found(manifests, one["spec"]["selector"]["matchLabels"]) == [one["metadata"]["name"]]
    for one in of_kind(manifests, "Service"):
        assert len(_found(manifests, one["spec"]["selector"])) == 1, one["metadata"]["name"]
    for one in of_kind(manifests, "PodDisruptionBudget"):
        assert len(_found(manifests, one["spec"]["selector"]["matchLabels"])) == 1
    for one in of_kind(manifests, "NetworkPolicy"):
        assert len(_found(manifests, one["spec"]["podSelector"]["matchLabels"])) == 1
    for one in of_kind(manifests, "StatefulSet"):
        assert one["spec"]["serviceName"] in _names(manifests, "Service")


@each(VALUE_SETS)
def test_ports_are_there_by_their_names(values: Path) -> None:
    manifests = render(values)
    templates = dict(pods(manifests))
    for service in of_kind(manifests, "Service"):
        (workload,) = _found(manifests, service["spec"]["selector"])
        wanted = {port["targetPort"] for port in service["spec"]["ports"]}
        assert wanted <= _ports(templates[workload]), service["metadata"]["name"]
    for policy in of_kind(manifests, "NetworkPolicy"):
        (workload,) = _found(manifests, policy["spec"]["podSelector"]["matchLabels"])
        wanted = {port["port"] for rule in policy["spec"].get("ingress") or [] for port in rule.get("ports", [])}
        assert wanted <= _ports(templates[workload]), policy["metadata"]["name"]
    for name, pod in templates.items():
        for probe in _probes(pod):
            assert (probe.get("httpGet") or probe["tcpSocket"])["port"] in _ports(pod), name


@each(VALUE_SETS)
def test_probes_ask_what_the_service_answers(values: Path) -> None:
    ours = {"api": _api_paths(), "single": _api_paths(), "receiver": _monitor_paths(), "worker": _monitor_paths()}
    asked = 0
    for manifest in of_kind(render(values), "Deployment", "StatefulSet"):
        for probe in _probes(manifest["spec"]["template"]) if component(manifest) in ours else ():
            if "httpGet" in probe:
                assert probe["httpGet"]["path"] in ours[component(manifest)]
                asked += 1
    assert asked


@each(VALUE_SETS)
def test_what_pods_refer_to_is_rendered_or_named_in_the_values(values: Path) -> None:
    manifests = render(values)
    named = set(_strings(merged_values(values)))
    for name, pod in pods(manifests):
        for kind, reference in _references(pod["spec"]):
            assert reference in _names(manifests, kind) or reference in named, f"{name}: {kind} {reference}"
        mounts = {mount["name"] for c in pod["spec"]["containers"] for mount in c["volumeMounts"]}
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        assert mounts == volumes | _claims(manifests, name), name


@each(VALUE_SETS)
def test_triton_and_the_service_see_the_same_models(values: Path) -> None:
    wanted, found = merged_values(values)["models"], {}
    for manifest in of_kind(render(values), "Deployment", "StatefulSet"):
        (container,) = manifest["spec"]["template"]["spec"]["containers"]
        found |= {
            (component(manifest), mount["mountPath"]): mount["subPath"]
            for mount in container["volumeMounts"]
            if mount["name"] == "models"
        }
    assert set(found.values()) == ({"models"} if wanted["claim"] else set())
    assert (("triton", "/models") in found) == (("worker", "/var/lib/thoracle/models") in found)


@each(VALUE_SETS)
def test_the_chart_makes_no_secret(values: Path) -> None:
    assert of_kind(render(values), "Secret") == []


@each(VALUE_SETS)
def test_in_one_pod_the_api_is_reached_while_the_receiver_is_down(values: Path) -> None:
    manifests = render(values)
    (service,) = (s for s in of_kind(manifests, "Service") if s["metadata"]["name"].endswith("-api"))
    (workload,) = _found(manifests, service["spec"]["selector"])
    (container,) = dict(pods(manifests))[workload]["spec"]["containers"]
    by_dicom = "tcpSocket" in container["readinessProbe"]
    assert service["spec"].get("publishNotReadyAddresses", False) == by_dicom == (MERGED[values]["mode"] == "single")


@each(IN_A_CLUSTER)
def test_the_migration_runs_where_an_api_may_run(values: Path) -> None:
    (api,) = (pod for name, pod in pods(render(values)) if name.endswith("-api"))
    (job,) = (pod for name, pod in pods(render(values)) if name.endswith("-migrate"))
    for key in ("priorityClassName", "nodeSelector", "tolerations"):
        assert job["spec"].get(key) == api["spec"].get(key), key
    wanted = MERGED[values]
    assert wanted["podLabels"].items() <= job["metadata"]["labels"].items()
    assert job["metadata"].get("annotations", {}) == wanted["podAnnotations"]
    (container,) = job["spec"]["containers"]
    extra = [one for one in wanted["extraEnv"] if not one["name"].startswith("THORACLE_")]
    assert [one for one in container["env"] if one in wanted["extraEnv"]] == extra


@each(VALUE_SETS)
def test_what_may_be_several_pods_is_never_evicted_as_a_whole(values: Path) -> None:
    manifests, wanted = render(values), MERGED[values]
    behind = [
        name
        for budget in of_kind(manifests, "PodDisruptionBudget")
        for name in _found(manifests, budget["spec"]["selector"]["matchLabels"])
    ]
    deployments = [one["metadata"]["name"] for one in of_kind(manifests, "Deployment")]
    assert sorted(behind) == (sorted(deployments) if wanted["disruptionBudgets"] else [])


@each(VALUE_SETS)
def test_what_scales_is_there_and_has_no_fixed_number(values: Path) -> None:
    manifests = render(values)
    for one in of_kind(manifests, "ScaledObject", "HorizontalPodAutoscaler"):
        target = one["spec"]["scaleTargetRef"]["name"]
        (deployment,) = (d for d in of_kind(manifests, "Deployment") if d["metadata"]["name"] == target)
        assert "replicas" not in deployment["spec"]


@each(VALUE_SETS)
def test_prometheus_is_told_of_ports_that_services_have(values: Path) -> None:
    manifests = render(values)
    for monitor in of_kind(manifests, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (expression,) = monitor["spec"]["selector"]["matchExpressions"]
        chosen = [
            service
            for service in of_kind(manifests, "Service")
            if wanted <= service["metadata"]["labels"].items() and component(service) in expression["values"]
        ]
        offered = {port["name"] for service in chosen for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= offered
        assert {"api", "receiver", "worker"} <= {component(service) for service in chosen}


@each(VALUE_SETS)
def test_dicom_is_open_to_the_named_networks_only(values: Path) -> None:
    manifests, wanted = render(values), merged_values(values)
    (service,) = (s for s in of_kind(manifests, "Service") if s["metadata"]["name"].endswith("-dicom"))
    if wanted["dicom"]["type"] == "LoadBalancer":
        assert service["spec"]["loadBalancerSourceRanges"] == wanted["dicom"]["sourceRanges"]
        assert service["spec"]["externalTrafficPolicy"] == "Local"
    for policy in of_kind(manifests, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress") or []:
            assert rule.get("from"), f"{policy['metadata']['name']} lets anybody in"
            if {"port": "dicom"} in rule.get("ports", []):
                assert [source["ipBlock"]["cidr"] for source in rule["from"]] == wanted["dicom"]["sourceRanges"]


@each(VALUE_SETS)
def test_a_pacs_may_report_what_it_keeps(values: Path) -> None:
    """Storage Commitment: on an association of its own, which comes in at the receiver."""
    wanted = merged_values(values)
    open_to = [ip_network(cidr) for cidr in wanted["dicom"]["sourceRanges"]]
    for pacs in wanted["config"].get("destinations", {}).values():
        if _is_address(pacs.get("host", "")) and pacs.get("confirm", "commitment") == "commitment":
            assert any(ip_address(pacs["host"]) in network for network in open_to), pacs


@each(BEHIND_POLICIES)
def test_every_workload_is_behind_a_network_policy(values: Path) -> None:
    manifests = render(values)
    policies = of_kind(manifests, "NetworkPolicy")
    behind = [w for p in policies for w in _found(manifests, p["spec"]["podSelector"]["matchLabels"])]
    assert sorted(behind) == sorted(name for name, _ in pods(manifests))


def _found(manifests: tuple[Manifest, ...], labels: Mapping[str, str]) -> list[str]:
    return [name for name, pod in pods(manifests) if labels.items() <= pod["metadata"]["labels"].items()]


def _claims(manifests: tuple[Manifest, ...], name: str) -> set[str]:
    """Volumes that a StatefulSet makes for each of its pods."""
    made = (one["spec"] for one in of_kind(manifests, "StatefulSet") if one["metadata"]["name"] == name)
    return {claim["metadata"]["name"] for spec in made for claim in spec["volumeClaimTemplates"]}


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _gib(resources: Mapping[str, str]) -> float:
    return float(resources["memory"].removesuffix("Gi")) if resources["memory"].endswith("Gi") else 0.0


def _names(manifests: tuple[Manifest, ...], kind: str) -> set[str]:
    return {one["metadata"]["name"] for one in of_kind(manifests, kind)}


def _ports(pod: Manifest) -> set[str]:
    return {port["name"] for container in pod["spec"]["containers"] for port in container.get("ports", [])}


def _probes(pod: Manifest) -> list[Mapping[str, Any]]:
    kinds = ("startupProbe", "livenessProbe", "readinessProbe")
    return [container[kind] for container in pod["spec"]["containers"] for kind in kinds if kind in container]


def _references(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [("ServiceAccount", spec["serviceAccountName"])] if "serviceAccountName" in spec else []
    found += [("Secret", one["name"]) for one in spec.get("imagePullSecrets", [])]
    for volume in spec["volumes"]:
        for key, name, kind in (
            ("configMap", "name", "ConfigMap"),
            ("secret", "secretName", "Secret"),
            ("persistentVolumeClaim", "claimName", "PersistentVolumeClaim"),
        ):
            if key in volume:
                found.append((kind, volume[key][name]))
    for container in spec["containers"]:
        sources = [variable["valueFrom"] for variable in container.get("env") or [] if "valueFrom" in variable]
        found += [("Secret", source["secretKeyRef"]["name"]) for source in sources]
    return found


def _strings(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for value in node.values() for text in _strings(value)]
    if isinstance(node, list):
        return [text for value in node for text in _strings(value)]
    return [node] if isinstance(node, str) else []


def _api_paths() -> set[str]:
    anything: Any = None
    return set(create_app("0", anything, anything, anything, SelfReport(dict, dict, bytes)).openapi()["paths"])


def _monitor_paths() -> set[str]:
    return set(create_monitor("0", dict, dict, bytes).openapi()["paths"])

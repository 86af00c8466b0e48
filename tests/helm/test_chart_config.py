"""What the pods read as configuration is what the values say: the service itself loads the rendered file."""

import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.helm_chart import NAMESPACE, RELEASE, ROOT, VALUE_SETS, merged_values, of_kind, pods, render
from kubelet import environment

from service.cli.serve import Role
from service.settings import Settings, load

pytestmark = pytest.mark.peers

each = partial(pytest.mark.parametrize, "values", ids=lambda path: path.stem.removesuffix("-values"))
WITH_A_BUCKETS_KEYS = [v for v in VALUE_SETS if (m := merged_values(v))["s3"]["secret"] or m["trial"]["enabled"]]

MASTER_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
SECRETS = {
    "url": "postgresql+psycopg://user:its%20password@db.example/thoracle",
    "database-password": "abc123",
    "master-key": MASTER_KEY,
    "old-master-keys": "[]",
}

SHIPPED_MODELS = "/opt/thoracle/share/thoracle/models"
"""A link of the image; `thoracle models` refuses to change what is there."""


@pytest.fixture(autouse=True)
def environment_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The container's environment begins with that of the Dockerfile, not with ours."""
    for name in [name for name in os.environ if name.startswith("THORACLE_")]:
        monkeypatch.delenv(name)
    for name, value in re.findall(r"(THORACLE_\w+)=(\S+)", (ROOT / "docker" / "Dockerfile").read_text()):
        monkeypatch.setenv(name, value)


@each(VALUE_SETS)
def test_every_pod_loads_the_settings_that_the_values_say(
    values: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests, wanted = render(values), merged_values(values)
    expected = _expected(wanted)
    (config,) = (m for m in of_kind(manifests, "ConfigMap") if "thoracle.yaml" in m["data"])
    file = tmp_path / "thoracle.yaml"
    file.write_text(config["data"]["thoracle.yaml"])
    roles = []
    for name, pod in pods(manifests):
        (container,) = pod["spec"]["containers"]
        if container.get("args", [])[:1] != ["serve"]:
            continue
        command, _, path, _, role = container["args"]
        assert (command, path) == ("serve", "/etc/thoracle/thoracle.yaml")
        assert path in {mount["mountPath"] for mount in container["volumeMounts"]}
        roles.append(Role(role))
        with monkeypatch.context() as inside:
            for variable, value in environment(container, SECRETS).items():
                inside.setenv(variable, value)
            assert dict(load(file)) == dict(expected), name
    assert sorted(roles) == (["all"] if wanted["mode"] == "single" else ["api", "receiver", "worker"])


@each(VALUE_SETS)
def test_the_migrations_job_finds_the_same_database(values: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = merged_values(values)
    jobs = of_kind(render(values), "Job")
    assert len(jobs) == (wanted["mode"] == "cluster")
    for job in jobs:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        assert container["args"] == ["migrate"]
        for variable, value in environment(container, SECRETS).items():
            monkeypatch.setenv(variable, value)
        assert load(None).database_url == _expected(wanted).database_url
        hooks = job["metadata"]["annotations"]["helm.sh/hook"].split(",")
        assert hooks == ["post-install" if wanted["trial"]["enabled"] else "pre-install", "pre-upgrade", "pre-rollback"]


@each(VALUE_SETS)
def test_every_pod_of_the_service_has_the_sites_zone(values: Path) -> None:
    wanted = merged_values(values)["timeZone"]
    for name, pod in pods(render(values)):
        (container,) = pod["spec"]["containers"]
        if container.get("args", [])[:1] in (["serve"], ["migrate"]):
            assert environment(container, SECRETS).get("TZ", "") == wanted, name


@each(WITH_A_BUCKETS_KEYS)
def test_credentials_of_the_bucket_reach_the_pods(values: Path) -> None:
    for _, pod in pods(render(values)):
        (container,) = pod["spec"]["containers"]
        if container.get("args", [])[:1] == ["serve"]:
            found = environment(container, SECRETS)
            assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= set(found)


def _expected(wanted: Mapping[str, Any]) -> Settings:
    """The settings of the values, with what docs/how-to/run-on-kubernetes.md says that the chart decides."""
    name = wanted["fullnameOverride"] or f"{RELEASE}-thoracle"
    config: dict[str, Any] = dict(wanted["config"])
    receiver: dict[str, Any] = {"host": "0.0.0.0", "port": 11112}
    if not config.get("receiver", {}).get("callers"):
        receiver["callers"] = {"*": {"addresses": wanted["dicom"]["sourceRanges"]}}
    decided: dict[str, Any] = {
        "data_dir": "/var/lib/thoracle",
        "api": _expected_api(wanted, name),
        "receiver": config.get("receiver", {}) | receiver,
    }
    if wanted["mode"] == "cluster":
        decided["monitoring"] = {"host": "0.0.0.0", "port": 9464}
    if wanted["trial"]["enabled"]:
        decided["database_url"] = f"postgresql+psycopg://thoracle:abc123@{name}-postgresql/thoracle"
        decided["bucket"] = {"url": "s3://thoracle/ct", "endpoint": f"http://{name}-s3:8333", "region": "us-east-1"}
    elif wanted["s3"]["ca"]:
        decided["bucket"] = config["bucket"] | {"tls": {"ca": wanted["s3"]["ca"]}}
    if wanted["database"]["secret"]:
        decided["database_url"] = SECRETS["url"]
    if wanted["encryption"]["secret"]:
        decided["encryption"] = config.get("encryption", {}) | {"master_key": MASTER_KEY, "old_master_keys": []}
    if wanted["triton"]["enabled"]:
        inference = config.get("inference", {})
        triton = inference.get("triton", {}) | {"url": f"{name}-triton:8001"}
        decided["inference"] = inference | {"backend": "triton", "triton": triton}
    own = "/var/lib/thoracle/models" if wanted["models"]["claim"] else None
    if own or wanted["mode"] == "cluster" or wanted["triton"]["enabled"]:
        inference = decided.get("inference", config.get("inference", {}))
        decided["inference"] = inference | {"repository": own or SHIPPED_MODELS}
    destinations = dict(config.get("destinations", {}))
    for destination, secret in wanted["destinationSecrets"].items():
        key = "password" if "user" in destinations[destination] else "token"
        destinations[destination] = destinations[destination] | {key: f"{key} of {secret}"}
    return Settings(**config | decided | {"destinations": destinations})


def _expected_api(wanted: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Hosts of the Service and of the Ingress, and a login where the values have none."""
    own = wanted["config"].get("api", {})
    service, ingress = f"{name}-api", wanted["ingress"]["host"]
    inside = [service, f"{service}.{NAMESPACE}", f"{service}.{NAMESPACE}.svc", *([ingress] if ingress else [])]
    api = own | {"host": "0.0.0.0", "port": 8080, "probes_port": 8081, "hosts": [*inside, *own.get("hosts", [])]}
    if ingress:
        api["url"] = own.get("url", f"https://{ingress}")
    login = dict(own.get("login", {"accounts": True, "tokens": True}))
    if secret := wanted["login"]["openidSecret"]:
        login["openid"] = login["openid"] | {"client_secret": f"client-secret of {secret}"}
    return api | {"login": login}


@each(VALUE_SETS)
def test_triton_gets_what_its_image_looks_for(values: Path) -> None:
    image = (ROOT / "docker" / "triton" / "Dockerfile").read_text()
    for name, pod in pods(render(values)):
        (container,) = pod["spec"]["containers"]
        if container["name"] != "triton":
            continue
        assert all(f"ENV {variable}=" in image for variable in environment(container, SECRETS)), name
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]} - {"/tmp", "/dev/shm"}
        assert all(path in image for path in mounts), name
        exposed = next(line.split()[1:] for line in image.splitlines() if line.startswith("EXPOSE "))
        assert [str(port["containerPort"]) for port in container["ports"]] == exposed

"""compose.yaml: valid by the Compose Specification, mounts what is here, sets settings that there are."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from service.settings import Settings, load

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
OURS = ("thoracle", "triton-cpu", "triton-gpu")


def interpolated(**environment: str) -> str:
    """As `docker compose` reads it: ${NAME:-default}."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: environment.get(found[1]) or found[2], TEXT)


@pytest.fixture
def services() -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = yaml.safe_load(interpolated())["services"]
    return loaded


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Settings]:
    """What the service makes of its environment in compose.yaml, and of the password that it finds."""
    (tmp_path / "thoracle_database_url").write_text("postgresql+psycopg://thoracle:secret@postgres/thoracle")

    def loaded(**environment: str) -> Settings:
        for name, value in yaml.safe_load(interpolated(**environment))["services"]["thoracle"]["environment"].items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setenv("THORACLE_SECRETS", str(tmp_path))
        return load(None)

    return loaded


def test_it_is_valid() -> None:
    merged = yaml.safe_dump(yaml.safe_load(interpolated()))  # the parser knows no merge keys (<<)
    PyCompose.from_yaml(merged).validate()


def test_a_misspelt_key_would_be_seen() -> None:
    with pytest.raises(ValueError, match="red_only"):
        PyCompose.from_yaml("services: {one: {image: one, red_only: true}}")


def test_every_file_it_needs_is_here(services: Mapping[str, Any]) -> None:
    mounted = [v.split(":")[0] for one in services.values() for v in one.get("volumes", []) if v.startswith(".")]
    built = [one["build"]["dockerfile"] for one in services.values() if "build" in one]
    assert mounted and built
    assert [path for path in (*mounted, *built) if not (ROOT / path).exists()] == []


def test_each_image_is_built_by_one_service_at_a_time(services: Mapping[str, Any]) -> None:
    for profile in ("cpu", "gpu"):
        started = [one for one in services.values() if profile in one.get("profiles", [profile])]
        tags = [one["image"] for one in started if "build" in one]
        assert sorted(tags) == ["thoracle", "thoracle-triton"]
    assert services["passwords"]["image"] == "thoracle"
    assert services["passwords"]["pull_policy"] == "never", "another's image of that name would make the passwords"


def test_every_variable_is_a_setting(services: Mapping[str, Any]) -> None:
    for name in services["thoracle"]["environment"].keys() - {"TZ", "THORACLE_SECRETS"}:  # no settings
        fields: Any = Settings.model_fields
        path = name.removeprefix("THORACLE_").lower().split("__")
        assert path[0] in fields, f"{name} is no setting"
        if path[0] != "destinations":  # whose names are free; what is below them is checked when they are loaded
            for step in path[1:]:
                fields = fields[path[path.index(step) - 1]].annotation.model_fields
                assert step in fields, f"{name} is no setting"


def test_results_go_to_its_pacs_and_work_to_its_database(settings: Callable[..., Settings]) -> None:
    ours = settings()
    pacs = ours.destinations["pacs"]
    assert (pacs.ae_title, pacs.host, pacs.port, pacs.confirm) == ("ORTHANC", "orthanc", 4242, "commitment")
    assert ours.database_url is not None and "@postgres/" in ours.database_url.get_secret_value()
    assert ours.inference.backend == "onnx"


def test_one_variable_changes_the_back_end(settings: Callable[..., Settings]) -> None:
    ours = settings(THORACLE_BACKEND="triton")
    assert (ours.inference.backend, ours.inference.triton.url) == ("triton", "triton:8001")


def test_the_service_is_in_the_sites_zone() -> None:
    for environment, zone in (({}, "UTC"), ({"TZ": "Europe/Berlin"}, "Europe/Berlin")):
        service = yaml.safe_load(interpolated(**environment))["services"]["thoracle"]
        assert service["environment"]["TZ"] == zone


def test_our_containers_get_no_rights_they_do_not_need(services: Mapping[str, Any]) -> None:
    for name in OURS:
        one = services[name]
        assert (one["read_only"], one["cap_drop"]) == (True, ["ALL"]), name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert "cap_add" not in one, name


def test_no_password_stands_in_it(services: Mapping[str, Any]) -> None:
    for name, one in services.items():
        told = {
            k: v for k, v in one.get("environment", {}).items() if re.search("PASSWORD|SECRET|TOKEN(?!S)|DATABASE", k)
        }
        words = {value for value in told.values() if value and not value.startswith("/run/")}
        assert words == set(), f"{name}: {words}"
    assert not re.search(r"PASSWORD:-[^}]", TEXT)


def test_nobody_starts_before_its_password_is_there(services: Mapping[str, Any]) -> None:
    maker = services["passwords"]
    assert (maker["user"], maker["cap_drop"], maker["cap_add"]) == ("0:0", ["ALL"], ["CHOWN"])
    assert maker["network_mode"] == "none"
    volumes = {v.split(":")[0] for v in maker["volumes"] if v.startswith("login-")}
    readers = {name: one for name, one in services.items() if name != "passwords"}
    mounted = {v.split(":")[0]: name for name, one in readers.items() for v in one.get("volumes", []) if "login-" in v}
    assert mounted == {
        "login-service": "thoracle",
        "login-database": "postgres",
        "login-grafana": "grafana",
        "login-pacs": "orthanc",
    }
    assert mounted.keys() == volumes
    for name in mounted.values():
        assert services[name]["depends_on"]["passwords"] == {"condition": "service_completed_successfully"}, name
        assert all(v.endswith(":ro") for v in services[name]["volumes"] if v.startswith("login-")), name


def test_nothing_is_reached_from_other_hosts_unless_told(services: Mapping[str, Any]) -> None:
    published = {port for one in services.values() for port in one.get("ports", [])}
    assert published and {port for port in published if not port.startswith("127.0.0.1:")} == set()
    told = yaml.safe_load(interpolated(DICOM_PORT="104", PACS_PORT="4242"))["services"].values()
    public = {p for one in told for p in one.get("ports", []) if not p.startswith("127.0.0.1:")}
    assert public == {"104:11112", "4242:4242"}


def test_who_may_send_is_named(settings: Callable[..., Settings]) -> None:
    (caller,) = settings(MODALITIES="10.1.2.0/24").receiver.callers.values()
    assert "10.1.2.0/24" in map(str, caller.addresses)
    assert not any(network.prefixlen < 24 for network in caller.addresses)


def test_no_container_offers_memory_that_none_shares(services: Mapping[str, Any]) -> None:
    joined = {one["ipc"].partition(":")[2] for one in services.values() if one.get("ipc", "").startswith("service:")}
    offered = {name for name, one in services.items() if one.get("ipc") == "shareable"}
    assert offered == joined

from dataclasses import fields, replace
from datetime import time
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from service.domain.eligibility import Limits
from service.domain.routing import Rule
from service.settings import GateLimits, Route, Settings, WebDestination, load


def test_file_and_environment_are_merged_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_text("receiver: {ae_title: AI, port: 104}\nlimits: {min_slices: 40}\n")
    monkeypatch.setenv("THORACLE_RECEIVER__PORT", "10104")
    settings = load(config)
    assert (settings.receiver.ae_title, settings.receiver.port) == ("AI", 10104)
    assert settings.limits.min_slices == 40
    assert settings.limits.min_extent_mm is None, "each pipeline's own holds"


@pytest.mark.parametrize(
    "text",
    [
        "recever: {port: 104}",
        "receiver: {prot: 104}",
        "receiver: {port: 0}",
        "receiver: {ae_title: ABCDEFGHIJKLMNOPQ}",
        "limits: {min_slises: 3}",
        "destinations: {a: {kind: ftp, host: h}}",
        "destinations: {a: {ae_title: A, host: h, url: 'https://h'}}",
        "destinations: {a: {kind: dicomweb, url: 'https://h', confirm: commitment}}",
        "destinations: {a: {kind: dicomweb, url: 'https://h', user: u}}",
        "destinations: {a: {kind: dicomweb, url: 'https://u:p@h'}}",
        "destinations: {a: {kind: dicomweb, url: 'http://h', user: u, password: p}}",
        "destinations: {a: {kind: dicomweb, url: 'http://h', token: t}}",
        "bucket: {url: 's3://b', endpoint: 'http://u:p@h'}",
        "destinations: {a: {kind: dicomweb, url: 'https://h', user: u, password: p, token: t}}",
        "destinations: {a: {ae_title: A, host: h, when: [{station: CT1}]}}",
        "destinations: {'a b': {ae_title: A, host: h}}",
        "destinations: {a: {ae_title: A, host: h, retry_delays_s: []}}",
        "retention: {keep_days: 0}",
        "receiver: {callers: {CT1: {}}}",
        "receiver: {callers: {CT1: {addresses: []}}}",
        "receiver: {callers: {CT1: {addresses: [ct1.example]}}}",
        "receiver: {callers: {CT1: {addresses: [10]}}}",
        "receiver: {callers: {CT1: {addresses: [true]}}}",
        "destinations: {a: {ae_title: A, host: h, tls: {name: 'a..b'}}}",
        "bucket: {url: 's3://b', endpoint: 'http://h', tls: {ca: a.pem}}",
        "inference: {triton: {tls: {}}}",
        "{database_url: 'postgresql+psycopg://a@h/d', database_tls: {}}",
        "receiver: {callers: {CT1: {addresses: [10.1.2.3], may: [query]}}}",
        "receiver: {callers: {CT1: {addresses: [10.1.2.3], certificates: [ct1]}}}",
        "receiver: {tls: {certificate: a.pem}, callers: {CT1: {addresses: [10.1.2.3], certificates: [ct1]}}}",
        "receiver: {tls: {ca: a.pem}}",
        "receiver: {tls: {certificate: a.pem, name: pacs}}",
        "receiver: {tls: {certificate: a.pem, crl: b.pem}}",
        "api: {tls: {}}",
        "api: {url: ftp://h}",
        "api: {url: 'https://h/path'}",
        "api: {url: 'https://u:p@h'}",
        "api: {url: 'https://'}",
        "api: {url: 'https://h:0'}",
        "api: {url: 'https://h:99999'}",
        "api: {url: 'https://h?a'}",
        "api: {url: 'https://h#a'}",
        "api: {url: 'https://\u00c4.example'}",
        "api: {url: 'https://[bad'}",
        "api: {hosts: ['h:8443']}",
        "api: {hosts: ['*']}",
        "api: {hosts: ['https://h']}",
        "api: {hosts: ['']}",
        "api: {url: http://h,login: {openid: {issuer: https://i, client_id: c, client_secret: s, groups: {g: admin}}}}",
        "api: {login: {passwords: true}}",
        "api: {login: {certificates: {ris: viewer}}}",
        "api: {login: {proxy: {addresses: [], groups: {g: viewer}}}}",
        "api: {login: {proxy: {addresses: [10.0.0.1]}}}",
        "api: {login: {proxy: {addresses: [10.0.0.1], groups: {g: boss}}}}",
        "api: {login: {proxy: {addresses: [10.0.0.1], user_header: 'a b', groups: {g: viewer}}}}",
        "api: {login: {proxy: {addresses: [10.0.0.1], user_header: X-A, groups_header: x-a, groups: {g: viewer}}}}",
        "api: {login: {openid: {issuer: 'https://h', client_id: c, client_secret: s, groups: {g: viewer}}}}",
        "api: {url: http://h, login: {openid: {issuer: http://h, client_id: c, client_secret: s, groups: {g: admin}}}}",
        "api: {url: 'https://h', login: {openid: {issuer: 'https://h', client_id: c, client_secret: s, groups: {}}}}",
        "api: {url: 'https://h', login: {openid: {issuer: 'https://h', client_id: c, groups: {g: viewer}}}}",
        "api: {login: {idle_minutes: 0}}",
        "api: {login: {idle_minutes: 1e9}}",
        "api: {login: {idle_minutes: .inf}}",
        "api: {login: {longest_hours: 169}}",
        "api: {login: {longest_hours: .nan}}",
        "destinations: {a: {ae_title: A, host: h, tls: {key: a.pem}}}",
        "destinations: {a: {kind: dicomweb, url: 'http://h', tls: {ca: a.pem}}}",
        "destinations: {a: {kind: dicomweb, url: 'https://h', tls: {name: h}}}",
        "destinations: {a: {kind: dicomweb, url: 'https://h', ca: a.pem}}",
        "inference: {triton: {tls: {certificate: a.pem}}}",
        "inference: {triton: {tls: {ca: a.pem, crl: b.pem}}}",
        "bucket: {url: 's3://b', tls: {certificate: a.pem, ca: b.pem}}",
        "database_tls: {ca: a.pem}",
        "{database_url: 'postgresql+psycopg://a@h/d?sslmode=disable', database_tls: {ca: a.pem}}",
        "retention: {history_days: 0}",
    ],
)
def test_a_mistake_is_an_error_never_a_silent_default(tmp_path: Path, text: str) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_text(text)
    with pytest.raises(ValidationError):
        load(config)


@pytest.mark.parametrize("old", ["allowed_calling_aets: [CT1]", "peers: {CT1: {quiet_s: 3}}"])
def test_what_became_of_the_names_of_callers_is_said(tmp_path: Path, old: str) -> None:
    with pytest.raises(ValidationError, match="is part of `callers` now, with the addresses") as refused:
        configured(tmp_path, f"receiver: {{{old}}}")
    assert "addresses: [10.1.2.3]" in str(refused.value)


def test_the_entry_of_its_very_name_tells_of_a_caller_else_the_first_pattern(tmp_path: Path) -> None:
    receiver = configured(
        tmp_path,
        """
receiver:
  callers:
    "*": {addresses: [10.0.0.0/8], quiet_s: 1}
    CT?: {addresses: [10.1.0.0/16], quiet_s: 2}
    CT1: {addresses: [10.1.2.3, "fd00::/8", 10.1.4.9/24, "::ffff:10.2.0.1"], quiet_s: 3}
    "CT[9]": {addresses: [10.1.2.3], quiet_s: 9}
""",
    ).receiver
    known = [receiver.caller(name) for name in ("CT1", "CT2", "MR")]
    assert [one and one.quiet_s for one in known] == [3, 1, 1]
    assert list(map(str, receiver.callers["CT1"].addresses)) == [
        *("10.1.2.3/32", "fd00::/8", "10.1.4.0/24", "10.2.0.1/32")
    ]
    assert (receiver.caller("CT9") or receiver.callers["CT[9]"]).quiet_s == 1, "no pattern but * and ?"


@pytest.mark.parametrize(
    ("text", "open_to_others"),
    [
        ("{}", False),
        ("{host: localhost}", False),
        ("{host: '::1'}", False),
        ("{host: 0.0.0.0}", True),
        ("{host: '::'}", True),
        ("{host: receiver.example}", True),
        ("{host: 0.0.0.0, callers: {CT1: {addresses: [10.1.2.3]}}}", False),
    ],
)
def test_nothing_is_open_to_other_machines_that_nobody_wrote_down(
    tmp_path: Path, text: str, open_to_others: bool
) -> None:
    said = configured(tmp_path, f"receiver: {text}").receiver.open_to_others
    assert bool(said) is open_to_others
    assert not said or "say who may, for instance `receiver.callers: {CT1: {addresses: [10.1.2.3]}}`" in said


def test_things_may_be_kept_for_ever(tmp_path: Path) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_text("retention: {keep_days: null}")
    assert load(config).retention.keep_days is None


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load(None).receiver.port = 1  # type: ignore[misc]


def test_destinations_of_both_kinds_with_rules(tmp_path: Path) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_text("""
destinations:
  pacs: {ae_title: PACS, host: pacs.example, when: [{station: [CT1, CT2]}, {between: ["18:00", "07:00"]}]}
  archive: {kind: dicomweb, url: "https://archive.example/dicom-web", token: secret, send: [seg], seg: labelmap}
""")
    pacs, archive = load(config).destinations.values()
    assert (pacs.kind, pacs.confirm, pacs.when[1].between) == ("dimse", "commitment", (time(18), time(7)))
    assert (archive.kind, archive.confirm, archive.seg) == ("dicomweb", "query", "labelmap")
    assert "secret" not in repr(archive)


def configured(folder: Path, text: str) -> Settings:
    config = folder / "thoracle.yaml"
    config.write_text(text)
    return load(config)


def test_one_pipeline_runs_on_every_study_unless_told_otherwise() -> None:
    assert [(one.name, one.when) for one in load(None).pipelines] == [("covid-severity", ())]


def test_pipelines_are_names_or_have_rules(tmp_path: Path) -> None:
    settings = configured(
        tmp_path,
        """
pipelines:
  - covid-severity
  - name: emphysema-index
    when:
      - {kernel: ["B3*"], contrast: false, age: [40, 120]}
      - {procedure: [CTTHOR]}
""",
    )
    plain, ruled = settings.pipelines
    assert (plain.name, plain.when, ruled.name) == ("covid-severity", (), "emphysema-index")
    assert [Rule(**route.model_dump()) for route in ruled.when] == [
        Rule(kernel=("B3*",), contrast=False, age=(40.0, 120.0)),
        Rule(procedure=("CTTHOR",)),
    ]


def test_every_condition_of_a_rule_can_be_set() -> None:
    assert set(Route.model_fields) == {field.name for field in fields(Rule)}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("pipeline: covid-severity", r"`pipeline` is a list now: pipelines: \[covid-severity\]"),
        ("pipelines: []", "at least 1"),
        ("pipelines: [a, {name: b}, a]", "each is named once"),
        ("pipelines: [{name: a, when: [{pipeline: [b]}]}]", "`pipeline` is for destinations"),
        ("pipelines: [{when: []}]", "name"),
        ("pipelines: [{name: a, kernel: [B30f]}]", "kernel"),
        ("pipelines: [{name: a, when: [{age: [40]}]}]", "age"),
        ("pipelines: [{name: a, when: [{age: [90, 40]}]}]", "from the first to the second"),
        ("pipelines: [{name: a, when: [{contrast: perhaps}]}]", "contrast"),
    ],
)
def test_a_mistake_in_pipelines_is_told_in_words(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        configured(tmp_path, text)


def test_pipelines_from_the_environment_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THORACLE_PIPELINES", '["covid-severity", {"name": "a", "when": [{"kernel": ["B30f"]}]}]')
    assert [(one.name, len(one.when)) for one in load(None).pipelines] == [("covid-severity", 0), ("a", 1)]


def test_the_variable_of_one_pipeline_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THORACLE_PIPELINE", "covid-severity")
    with pytest.raises(ValidationError, match=r"`pipeline` is a list now: pipelines: \[covid-severity\]"):
        load(None)


@pytest.mark.parametrize(
    ("pipelines", "valid"),
    [(["covid-severity"], True), ([{"name": "a", "when": [{"kernel": ["B30f"]}]}], True), ([{"nam": "a"}], False)],
)
def test_the_json_schema_knows_both_forms_of_a_pipeline(pipelines: list[object], valid: bool) -> None:
    """The values of the Helm chart are checked with it."""
    schema = jsonschema.Draft202012Validator(Settings.model_json_schema())
    assert schema.is_valid({"pipelines": pipelines}) is valid


def test_every_limit_of_the_gate_can_be_set_for_all_pipelines() -> None:
    assert list(GateLimits.model_fields) == [field.name for field in fields(Limits)]


def test_limits_override_only_what_is_set(tmp_path: Path) -> None:
    own = Limits(max_thickness_mm=3.0, min_slices=100, allow_derived=True)
    assert load(None).limits.over(own) == own
    settings = configured(tmp_path, "limits: {min_slices: 50, allow_derived: false, min_age_years: 0}")
    assert settings.limits.over(own) == replace(own, min_slices=50, allow_derived=False, min_age_years=0.0)


def test_secrets_are_refused_in_words_where_others_can_read_them(tmp_path: Path) -> None:
    """And the sentence does not repeat them."""
    for url, why in (
        ("https://me:hidden@archive.example/dicom-web", "an address holds no user and no password"),
        ("http://archive.example/dicom-web", "a password or a token goes over https only"),
    ):
        config = tmp_path / "thoracle.yaml"
        config.write_text(f"destinations: {{a: {{kind: dicomweb, url: '{url}', user: me, password: hidden}}}}")
        with pytest.raises(ValidationError, match=why) as refused:
            load(config)
        assert "hidden" not in str(refused.value)
    for here in ("http://127.0.0.1:8042", "http://localhost:8042", "http://[::1]:8042"):
        Settings.model_validate(
            {"destinations": {"a": {"kind": "dicomweb", "url": here, "user": "u", "password": "p"}}}
        )


@pytest.mark.parametrize("variable", ["CREDENTIALS_DIRECTORY", "THORACLE_SECRETS"])
def test_secrets_come_from_files_named_as_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "thoracle_database_url").write_text("postgresql+psycopg://thoracle:secret@db/thoracle\n")
    (folder / "THORACLE_DESTINATIONS__archive__TOKEN").write_text("a token\n")
    (folder / "somebody-elses").write_bytes(b"\xff\xfe")
    monkeypatch.setenv(variable, str(folder))
    text = "destinations: {archive: {kind: dicomweb, url: 'https://archive', token: of the file}}"
    settings = configured(tmp_path, text)
    (archive,) = settings.destinations.values()
    assert settings.database_url and settings.database_url.get_secret_value().endswith(":secret@db/thoracle")
    assert isinstance(archive, WebDestination)
    assert archive.token and archive.token.get_secret_value() == "a token", "before the configuration file"
    monkeypatch.setenv("THORACLE_DESTINATIONS__archive__TOKEN", "of the environment")
    (archive,) = configured(tmp_path, text).destinations.values()
    assert isinstance(archive, WebDestination)
    assert archive.token and archive.token.get_secret_value() == "of the environment"


def test_a_folder_of_secrets_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THORACLE_SECRETS", str(tmp_path / "gone"))
    with pytest.raises(SettingsError, match=r"THORACLE_SECRETS names .*gone, which is no folder"):
        configured(tmp_path, "{}")


def test_a_file_of_secrets_that_is_no_use_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "THORACLE_FOLDER").mkdir()
    monkeypatch.setenv("THORACLE_SECRETS", str(folder))
    assert configured(tmp_path, "{}").database_url is None
    for name, content, why in (
        ("thoracle_database_ulr", b"x", "no setting is called so"),
        ("thoracle_database_url", b"\xff", "holds no text"),
    ):
        (folder / name).write_bytes(content)
        with pytest.raises(SettingsError, match=f"{name}:? {why}"):
            configured(tmp_path, "{}")
        (folder / name).unlink()


@pytest.mark.parametrize("most", ["max_associations: 1", "max_associations_each: 1"])
def test_each_receiver_process_has_an_association(tmp_path: Path, most: str) -> None:
    with pytest.raises(ValidationError, match="processes is more than max_associations or max_associations_each"):
        configured(tmp_path, f"receiver: {{processes: 2, {most}}}")


@pytest.mark.parametrize("kind", ["none", "dimse"])
def test_an_archive_of_earlier_results_is_a_destination_over_dicomweb(kind: str) -> None:
    destinations = {"pacs": {"ae_title": "PACS", "host": "pacs"}} if kind == "dimse" else {}
    with pytest.raises(ValidationError, match="there is no destination pacs of kind dicomweb"):
        Settings(destinations=destinations, comparison={"archive": "pacs"})
    web = {"pacs": {"kind": "dicomweb", "url": "https://pacs/dicom-web"}}
    assert Settings(destinations=web, comparison={"archive": "pacs"}).comparison.archive == "pacs"


def test_results_are_compared_with_those_of_ten_years_unless_told_otherwise() -> None:
    ours = Settings().comparison
    assert (ours.enabled, ours.max_years, ours.archive) == (True, 10, None)


@pytest.mark.parametrize(
    ("text", "open_to_others"),
    [
        ("api: {}", False),
        ("api: {host: localhost}", False),
        ("api: {host: '::1'}", False),
        ("api: {host: 0.0.0.0}", True),
        ("api: {host: '::'}", True),
        ("api: {host: 10.1.2.3}", True),
        ("api: {host: 0.0.0.0, login: {idle_minutes: 5}}", True),
        ("api: {host: 0.0.0.0, login: {accounts: true}}", False),
        ("api: {host: 0.0.0.0, login: {tokens: true}}", False),
        ("api: {host: 0.0.0.0, login: {proxy: {addresses: [10.0.0.1], groups: {g: viewer}}}}", False),
    ],
)
def test_without_a_login_the_api_is_for_this_machine(tmp_path: Path, text: str, open_to_others: bool) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_text(text)
    assert bool(load(config).api.open_to_others) == open_to_others


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://Thoracle.H/", "https://thoracle.h"),
        ("https://h:443", "https://h"),
        ("http://h:80/", "http://h"),
        ("http://h:443", "http://h:443"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://10.1.2.3", "https://10.1.2.3"),
    ],
)
def test_the_address_of_the_api_is_an_origin_as_browsers_write_it(written: str, origin: str) -> None:
    assert Settings(api={"url": written, "hosts": ["Thoracle-Api.Ns.svc"]}).api.url == origin


def test_the_secret_of_openid_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "thoracle.yaml"
    ours = "{issuer: 'http://localhost:9', client_id: c, groups: {g: admin}}"
    config.write_text(f"api: {{url: 'https://h', login: {{openid: {ours}}}}}")
    monkeypatch.setenv("THORACLE_API__LOGIN__OPENID__CLIENT_SECRET", "secret")
    openid = load(config).api.login.openid
    assert openid is not None and openid.client_secret.get_secret_value() == "secret"
    assert "secret" not in str(load(config)).replace("client_secret", "").replace("SecretStr", "")

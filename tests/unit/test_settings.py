from datetime import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.domain.eligibility import Limits
from service.settings import load


def test_file_and_environment_are_merged_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_text("receiver: {ae_title: AI, port: 104}\nlimits: {min_slices: 40}\n")
    monkeypatch.setenv("THORACLE_RECEIVER__PORT", "10104")
    settings = load(config)
    assert (settings.receiver.ae_title, settings.receiver.port) == ("AI", 10104)
    limits = settings.limits.over(Limits(max_thickness_mm=3.0))
    assert limits == Limits(min_slices=40, max_thickness_mm=3.0), "what is not set is the pipeline's own"
    assert limits.min_extent_mm == 200


def test_the_pipeline_of_version_0_2_is_said_to_be_a_list_now(tmp_path: Path) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_text("pipeline: covid-severity\n")
    with pytest.raises(ValidationError, match=r"pipelines: \[covid-severity\]"):
        load(config)


@pytest.mark.parametrize(
    "text",
    [
        "recever: {port: 104}",
        "receiver: {prot: 104}",
        "receiver: {port: 0}",
        "receiver: {ae_title: ABCDEFGHIJKLMNOPQ}",
        "limits: {min_slises: 3}",
        "limits: {min_slices: 0}",
        "pipelines: []",
        "pipelines: [covid-severity, covid-severity]",
        "pipelines: [{name: covid-severity, when: [{pipeline: [covid-severity]}]}]",
        "destinations: {a: {kind: ftp, host: h}}",
        "destinations: {a: {ae_title: A, host: h, url: 'https://h'}}",
        "destinations: {a: {kind: dicomweb, url: 'https://h', confirm: commitment}}",
        "destinations: {a: {kind: dicomweb, url: 'https://h', user: u}}",
        "destinations: {a: {kind: dicomweb, url: 'https://h', user: u, password: p, token: t}}",
        "destinations: {a: {ae_title: A, host: h, when: [{station: CT1}]}}",
        "destinations: {'a b': {ae_title: A, host: h}}",
        "destinations: {a: {ae_title: A, host: h, retry_delays_s: []}}",
        "retention: {keep_days: 0}",
        "retention: {history_days: 0}",
    ],
)
def test_a_mistake_is_an_error_never_a_silent_default(tmp_path: Path, text: str) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_text(text)
    with pytest.raises(ValidationError):
        load(config)


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

"""The command line as a user meets it: what it prints and the exit code."""

import json
import re
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from helpers import make_ct
from helpers.damage_ct import CASES
from helpers.lungs_as_lobe import LungsAsLobe
from typer.testing import CliRunner

from service import __version__
from service.analysis.analyst import Analyst
from service.cli import app
from service.domain.eligibility import Limits
from service.evidence.context import SegKind, Selection, Style
from service.store import dicom_folder as tree
from service.store.dicom_folder import SeriesFiles

DEMO_CT = Path(__file__).parents[3] / "demo" / "ct"


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    return result.exit_code, " ".join(result.output.split())


def test_version() -> None:
    assert run("version") == (0, f"thoracle {__version__} (research use only)")


def test_without_a_command_it_helps() -> None:
    _, output = run()
    assert all(command in output for command in ("analyse", "serve", "send", "doctor", "version"))


def test_a_refused_study_exits_3_with_every_reason_printed_and_written(tmp_path: Path) -> None:
    tilted = next(c for c in CASES if c.reason == "TILT")
    make_ct.write(tilted.make(), tmp_path / "in" / "a")
    make_ct.write(make_ct.make(slices=10).datasets, tmp_path / "in" / "b")
    code, output = run("analyse", tmp_path / "in", "--out", tmp_path / "out")
    assert code == 3
    assert "TILT: The gantry was tilted" in output
    assert "TOO_FEW: The series has too few slices." in output
    documents = [json.loads(p.read_text()) for p in (tmp_path / "out").rglob("result.json")]
    assert {d["status"] for d in documents} == {"refused"}
    assert {r["reason"] for d in documents for r in d["reasons"]} >= {"TILT", "TOO_FEW"}


def test_a_study_that_fails_and_a_damaged_file_do_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first study's disk fails, the second has one damaged file beside it; each is named."""
    for number in (1, 2):
        datasets = make_ct.make(slices=10, attributes={"StudyInstanceUID": f"1.2.{number}"}).datasets
        make_ct.write(datasets, tmp_path / "in" / str(number))
    whole = (tmp_path / "in" / "2" / "0000.dcm").read_bytes()
    (tmp_path / "in" / "damaged.dcm").write_bytes(whole.replace(b"\x20\x00\x0d\x00UI", b"\x20\x00\x0d\x00UJ"))
    read = tree.headers

    def headers_unless_first(series: SeriesFiles, *rest: Any) -> object:
        if series.study_uid == "1.2.1":
            raise OSError(5, "Input/output error")
        return read(series, *rest)

    monkeypatch.setattr("service.analysis.kept_headers.read_headers", headers_unless_first)
    code, output = run("analyse", tmp_path / "in", "--out", tmp_path / "out")
    assert code == 1
    assert "Failed: study 1.2.1: [Errno 5] Input/output error" in output
    assert "/in/damaged.dcm:damagedDICOM" in output.replace(" ", "")
    assert "TOO_FEW" in output and (tmp_path / "out" / "study-2" / "result.json").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["analyse", "nowhere", "--out", "x"], "does not exist"),
        (["analyse", str(DEMO_CT), "--out", "x", "--pipeline", "nonsense"], "there are: covid-severity"),
        (["send", str(DEMO_CT), "--to", "nonsense"], "AET@HOST:PORT"),
        (["send", str(DEMO_CT), "--to", "A@host:99999"], "AET@HOST:PORT"),
        (["serve", "--role", "nonsense"], "nonsense"),
        (["nonsense"], "No such command"),
    ],
)
def test_wrong_usage_exits_2_and_says_how_it_is_right(arguments: list[str], says: str) -> None:
    code, output = run(*arguments)
    assert code == 2
    assert says in output


def test_a_folder_without_dicom_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("not DICOM")
    code, output = run("analyse", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert "no DICOM files" in output
    assert "left out 1 files: not DICOM" in output
    assert run("send", tmp_path, "--to", "A@localhost:104")[0] == 2


def test_a_mistake_in_the_configuration_is_named(tmp_path: Path) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_text("receiver: {prot: 104}")
    for command in (["serve"], ["doctor"]):
        code, output = run(*command, "--config", config)
        assert code == 2
        assert "receiver.prot" in output


@pytest.mark.parametrize("command", ["serve", "doctor"])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"data_dir: [", "not YAML: while parsing a flow node expected the node content"),
        (b"data_dir: \xff", "not YAML: 'utf-8' codec can't decode"),
        (b"[1, 2]", "must hold lines of the form 'name: value'"),
        (b"thoracle", "must hold lines of the form 'name: value'"),
    ],
)
def test_a_file_that_is_no_configuration_is_said_in_one_line(
    tmp_path: Path, command: str, text: bytes, says: str
) -> None:
    config = tmp_path / "thoracle.yaml"
    config.write_bytes(text)
    code, output = run(command, "--config", config)
    assert code == 2
    assert says in output


def test_doctor_names_what_is_wrong_and_what_is_right(tmp_path: Path) -> None:
    config = tmp_path / "thoracle.yaml"
    node = {"ae_title": "PACS", "host": "127.0.0.1", "port": 1}
    config.write_text(json.dumps({"data_dir": str(tmp_path), "destinations": {"pacs": node}}))
    code, output = run("doctor", "--config", config)
    assert code == 1
    assert "ok data directory" in output
    assert "ok time zone: it is" in output
    assert re.search(r"ok processor: .+, cores: \d+, ONNX Runtime \d+\.", output)
    assert "ok model lung-opacity" in output
    assert "FAIL destination pacs: PACS@127.0.0.1:1: no connection to 127.0.0.1:1: Connection refused" in output


def test_an_altered_model_is_a_failure_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "SHA256SUMS").write_text("")
    (tmp_path / "lobes" / "1").mkdir(parents=True)
    (tmp_path / "lobes" / "1" / "model.onnx").write_bytes(b"altered")
    monkeypatch.setenv("THORACLE_INFERENCE__REPOSITORY", str(tmp_path))
    code, output = run("analyse", DEMO_CT, "--out", tmp_path / "out")
    assert code == 1
    assert "not a released model" in output


def test_send_names_each_file_that_was_not_stored(tmp_path: Path) -> None:
    files = make_ct.write(make_ct.make(slices=2).datasets, tmp_path)
    code, output = run("send", tmp_path, "--to", "NOBODY@127.0.0.1:1")
    assert code == 1
    assert all(f"not stored {file}" in output for file in files)
    assert "0 of 2 files stored" in output


def test_a_file_that_may_not_be_read_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_arguments: object) -> object:
        raise PermissionError(13, "Permission denied", "secret.dcm")

    monkeypatch.setattr("service.cli.send.dicom_files", closed)
    monkeypatch.setattr("service.cli.evaluate.pair", closed)
    assert run("send", tmp_path, "--to", "A@127.0.0.1:1") == (1, "Not sent: secret.dcm: Permission denied")
    assert run("evaluate", "a", "b", "--out", tmp_path / "out") == (2, "secret.dcm: Permission denied")


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        config = tmp_path / "thoracle.yaml"
        config.write_text(
            json.dumps({"data_dir": str(tmp_path / "d"), "receiver": {"host": "127.0.0.1", "port": port}})
        )
        code, output = run("serve", "--role", "receiver", "--config", config)
    assert code == 1
    assert f"Cannot run: cannot listen on 127.0.0.1:{port}: Address already in use" in output
    assert (tmp_path / "d").stat().st_mode & 0o007 == 0, "patient data of this user and group only"


EVERY_NAME = [
    *("lobes.seg.dcm", "findings.labelmap.seg.dcm", "measurements.binary.all-frames.sr.dcm", "study.sr.dcm"),
    *("study.labelmap.all-frames.lobes+findings+report-dicom.sr.dcm", "study.binary.alone.sr.dcm", "report.pdf"),
    *("report.pdf.dcm", "report.sc.dcm", "report.sr.dcm", "notice.sr.dcm", "notice.pdf", "notice.pdf.dcm"),
    "result.json",
]


@pytest.mark.parametrize("folder", [".", "study-1", "study-12"])
def test_results_of_an_earlier_patient_never_lie_beside_the_new_ones(tmp_path: Path, folder: str) -> None:
    """Neither those of any destination, nor those of one of several studies; what is no result stays."""
    out = tmp_path / "out"
    (out / folder).mkdir(parents=True)
    for name in (*EVERY_NAME, "notes.txt", "report.mine.pdf"):
        (out / folder / name).write_text("another patient's")
    make_ct.write(make_ct.make(slices=10).datasets, tmp_path / "in")
    assert run("analyse", tmp_path / "in", "--out", out)[0] == 3
    assert sorted(p.name for p in out.rglob("*.*")) == ["notes.txt", "report.mine.pdf", "result.json"]
    assert json.loads((out / "result.json").read_text())["status"] == "refused"


@pytest.mark.slow
@pytest.mark.parametrize(("slices", "names"), [(44, ["lobes.seg", "measurements.sr", "study.sr"]), (10, [])])
def test_what_destinations_get_changes_nothing_that_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slices: int, names: list[str]
) -> None:
    """The help names the files; a configuration with labelmaps and notices is for archives."""
    labelmaps = Selection(Style(SegKind.LABELMAP), frozenset(("lobes", "capture")))
    ready = Analyst(LungsAsLobe(), None, Limits(), "1", selections=(labelmaps,), notice=True)  # type: ignore[arg-type]
    monkeypatch.setattr("service.cli.analyse.analysts", lambda *_: {"lungs-as-lobe": ready})
    make_ct.write(make_ct.make(slices=slices, spacing_mm=5.0).datasets, tmp_path / "in")
    run("analyse", tmp_path / "in", "--out", tmp_path / "out")
    expected = [*(f"{name}.dcm" for name in names), *(["report.pdf", "report.pdf.dcm"] if names else []), "result.json"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(expected)


@pytest.mark.slow
def test_a_damaged_file_at_the_end_of_a_series_is_named_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No slice is missing in the middle: the result is of what is there, and the exit code says that it is not all."""
    ready = Analyst(LungsAsLobe(), None, Limits(), "1")  # type: ignore[arg-type]
    monkeypatch.setattr("service.cli.analyse.analysts", lambda *_: {"lungs-as-lobe": ready})
    paths = make_ct.write(make_ct.make(slices=44, spacing_mm=5.0).datasets, tmp_path / "in")
    paths[-1].write_bytes(paths[-1].read_bytes()[:300])
    code, output = run("analyse", tmp_path / "in", "--out", tmp_path / "out")
    assert code == 1 and (tmp_path / "out" / "report.pdf").exists()
    assert f"/in/{paths[-1].name}:damagedDICOM" in output.replace(" ", "")


def test_the_time_of_the_analysis_can_be_given(tmp_path: Path) -> None:
    make_ct.write(make_ct.make(slices=10).datasets, tmp_path / "in")
    arguments = ("analyse", tmp_path / "in", "--out", tmp_path / "out", "--analysed-at")
    assert run(*arguments, "2026-11-29T14:05:00+01:00")[0] == 3
    told = json.loads((tmp_path / "out" / "result.json").read_text())["analysed_at"]
    assert datetime.fromisoformat(told) == datetime(2026, 11, 29, 13, 5, tzinfo=UTC)
    assert run(*arguments, "yesterday")[0] == 2

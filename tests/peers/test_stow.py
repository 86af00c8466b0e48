"""STOW-RS and QIDO-RS with Orthanc, alone and behind a TLS proxy; what Orthanc never answers, a small server does."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from helpers import evidence_samples, make_ct
from helpers.authority import Authority
from helpers.dicom_peers import Orthanc, free_port, wait_until
from helpers.tls_proxy import TlsProxy
from pydicom import dcmread

from service.network import web
from service.network.send import StoreOutcome, Verdict
from service.network.stow import store
from service.network.web import WebNode, check, find_instances
from service.tls import TlsFiles

pytestmark = pytest.mark.peers

USER, PASSWORD = "thoracle", "gehéim:mit ß"
TOKEN_ONLY = """
function IncomingHttpRequestFilter(method, uri, ip, username, headers)
  return headers['authorization'] == 'Bearer a.long-token'
end
"""


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """SEGs, SRs and report of a phantom, in the order to send them."""
    folder = tmp_path_factory.mktemp("evidence")
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS)
    paths = []
    for item in evidence_samples.encoded(ct, analysis, evidence_samples.context(ct)):
        if item.sop_instance_uid:
            paths.append(folder / item.file_name)
            paths[-1].write_bytes(item.content)
    return paths


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    login = {"AuthenticationEnabled": True, "RegisteredUsers": {USER: PASSWORD}}
    with Orthanc(tmp_path_factory.mktemp("orthanc"), **login) as running:
        wait_until(lambda: check(node(running)) is None)
        yield running


def node(orthanc: Orthanc, password: str = PASSWORD) -> WebNode:
    return WebNode("pacs", f"{orthanc.url}/dicom-web/", USER, password)


def uids(path: Path) -> tuple[str, str, str]:
    header = dcmread(path, stop_before_pixels=True)
    return header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID


def retrieved(orthanc: Orthanc, path: Path) -> bytes:
    """The answer to WADO-RS for the instance in `path`, as it is stored there."""
    study, series, instance = uids(path)
    url = f"{node(orthanc).url}studies/{study}/series/{series}/instances/{instance}"
    accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    return requests.get(url, headers=accept, auth=(USER.encode(), PASSWORD.encode()), timeout=30).content


def summary(outcomes: list[StoreOutcome]) -> set[tuple[Verdict, int | None, str]]:
    return {(o.verdict, o.status, o.message) for o in outcomes}


@pytest.mark.conformance("web-services/store")
def test_seg_sr_and_pdf_arrive_byte_for_byte_and_twice_is_once(orthanc: Orthanc, evidence: list[Path]) -> None:
    seen: list[StoreOutcome] = []
    for _ in range(2):
        seen.clear()
        outcomes = store(node(orthanc), evidence, seen.append)
        assert [(o.path, o.sop_instance_uid, o.verdict, o.status) for o in outcomes] == [
            (path, uids(path)[2], Verdict.STORED, 0) for path in evidence
        ]
        assert seen == outcomes
    modalities = [dcmread(path, stop_before_pixels=True).Modality for path in evidence]
    assert sorted(modalities) == ["DOC", "SEG", "SEG", "SR", "SR"]
    for path in evidence:
        assert path.read_bytes() in retrieved(orthanc, path)


@pytest.mark.conformance("web-services/search")
def test_qido_tells_what_is_there(orthanc: Orthanc, evidence: list[Path]) -> None:
    assert {o.verdict for o in store(node(orthanc), evidence)} == {Verdict.STORED}
    study = uids(evidence[0])[0]
    sent = [uids(path)[2] for path in evidence]
    assert find_instances(node(orthanc), study, [*sent, "1.2.3.4"]) == frozenset(sent)
    assert find_instances(node(orthanc), "1.2.3 x", sent) == frozenset()
    assert find_instances(node(orthanc, "wrong"), study, sent) is None


def test_a_wrong_password_or_address_can_be_mended(
    orthanc: Orthanc, evidence: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for there, why in (
        (node(orthanc, "wrong"), "HTTP 401 Unauthorized"),
        (WebNode("pacs", f"{orthanc.url}/elsewhere", USER, PASSWORD), "HTTP 404 Not Found"),
        (WebNode("pacs", f"http://127.0.0.1:{free_port()}"), "connection failed: Connection refused"),
        (WebNode("pacs", "http://nowhere.invalid"), "the host name nowhere.invalid cannot be resolved"),
    ):
        assert check(there) == why
        assert summary(store(there, evidence)) == {(Verdict.TRANSIENT, None, why)}
        assert find_instances(there, "1.2", ["1.2.3"]) is None
    assert {record.name for record in caplog.records} == {"service.network.web"}  # the libraries' logs hold UIDs


def test_a_refused_object_stops_no_other(orthanc: Orthanc, evidence: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(evidence[0].read_bytes()[:3000])
    outcomes = store(node(orthanc), [broken, tmp_path / "gone", evidence[-1]])
    assert [(o.verdict, o.message) for o in outcomes] == [
        (Verdict.PERMANENT, "HTTP 400 Bad Request"),
        (Verdict.PERMANENT, "not a readable DICOM file (FileNotFoundError)"),
        (Verdict.STORED, "status 0x0000"),
    ]


def test_a_bearer_token(evidence: list[Path], tmp_path: Path) -> None:
    script = tmp_path / "token.lua"
    script.write_text(TOKEN_ONLY)
    with Orthanc(tmp_path / "pacs", LuaScripts=[str(script)]) as pacs:
        right = WebNode("pacs", f"{pacs.url}/dicom-web", token="a.long-token")
        wait_until(lambda: check(right) is None)
        assert [o.verdict for o in store(right, evidence[:1])] == [Verdict.STORED]
        wrong = WebNode("pacs", right.url, token="another")
        assert check(wrong) == "HTTP 403 Forbidden"
        assert summary(store(wrong, evidence)) == {(Verdict.TRANSIENT, None, "HTTP 403 Forbidden")}


def test_an_authority_of_the_environment_is_believed_by_nobody_who_names_another(
    orthanc: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE, which other programs heed."""
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    certificate, key = ours.issue("thoracle")
    with TlsProxy(orthanc.http_port, theirs.issue("pacs"), clients=ours.certificate) as proxy:
        url = f"https://127.0.0.1:{proxy.port}/dicom-web"
        files = {"certificate": certificate, "key": key}
        monkeypatch.setenv("SSL_CERT_FILE", str(theirs.certificate))
        reason = check(WebNode("pacs", url, USER, PASSWORD, tls=TlsFiles(**files, ca=ours.certificate))) or ""
        assert reason.endswith("no authority that we believe (`ca`) has signed it")
        monkeypatch.setenv("SSL_CERT_FILE", str(ours.certificate))
        assert check(WebNode("pacs", url, USER, PASSWORD, tls=TlsFiles(**files, ca=theirs.certificate))) is None


def test_certificates_of_both_sides(orthanc: Orthanc, evidence: list[Path], tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    certificate, key = ours.issue("thoracle")
    theirs_own = theirs.issue("pacs")
    with TlsProxy(orthanc.http_port, theirs_own, clients=ours.certificate) as proxy:
        url = f"https://127.0.0.1:{proxy.port}/dicom-web"
        both = {"certificate": certificate, "key": key, "ca": theirs.certificate}

        def https(**files: Path) -> WebNode:
            return WebNode("pacs", url, USER, PASSWORD, tls=TlsFiles(**files))

        assert check(https(**both)) is None
        assert {o.verdict for o in store(https(**both), evidence)} == {Verdict.STORED}
        one_file = tmp_path / "both.pem"
        one_file.write_bytes(certificate.read_bytes() + key.read_bytes())
        assert check(https(certificate=one_file, ca=theirs.certificate)) is None
        for wrong, why in (
            ({"ca": theirs.certificate}, ""),  # the alert may come before or after the server closes
            ({"ca": ours.certificate}, "no authority that we believe (`ca`) has signed it"),
            ({}, "no authority that we believe (`ca`) has signed it"),
            (
                both | {"certificate": tmp_path / "gone"},
                f"certificate {tmp_path / 'gone'} cannot be read: No such file",
            ),
            (both | {"key": tmp_path / "gone"}, f"key {tmp_path / 'gone'} cannot be read: No such file or directory"),
            (both | {"crl": theirs.revoke(theirs_own[0])}, "certificate revoked"),
        ):
            reason = check(https(**wrong)) or ""
            assert why in reason
            assert {o.verdict for o in store(https(**wrong), evidence[:1])} == {Verdict.TRANSIENT}


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[tuple[WebNode, list[str]]]:
    """A server that answers every request with `answer`; the node, and the methods of the requests it got."""
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline()
            if self.raw_requestline and self.parse_request():
                requested.append(self.command)
                answer(self)
            self.close_connection = True

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield WebNode("pacs", f"http://127.0.0.1:{server.server_port}"), requested
        server.shutdown()


def with_status(
    status: int, body: bytes = b"", pause_s: float = 0, **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    """Reads the request, with a pause after each MB, and answers."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        left = int(handler.headers.get("Content-Length", 0))
        while left > 0:
            left -= len(handler.rfile.read(min(left, 1_000_000)))
            time.sleep(pause_s)
        handler.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_a_login_page_is_no_archive(evidence: list[Path]) -> None:
    with answering(with_status(200, b"<html>Please log in</html>")) as (there, _):
        assert check(there) == "the answer is no DICOM JSON"
        assert find_instances(there, "1.2", ["1.2.3"]) is None
        message = "HTTP 200 OK, but the answer does not name the object"
        assert summary(store(there, evidence)) == {(Verdict.UNCLEAR, None, message)}
    with answering(with_status(302, Location="/login")) as (there, requested):
        assert check(there) == "the server redirects elsewhere"
        assert summary(store(there, evidence[:1])) == {(Verdict.TRANSIENT, None, "the server redirects elsewhere")}
        assert requested == ["GET", "POST"]


@pytest.mark.parametrize(("status", "requests_made"), [(401, 1), (403, 1), (429, 1), (503, 1), (500, 5), (502, 5)])
def test_who_is_turned_away_does_not_insist(evidence: list[Path], status: int, requests_made: int) -> None:
    with answering(with_status(status)) as (there, requested):
        assert {(o.verdict, o.status) for o in store(there, evidence)} == {(Verdict.TRANSIENT, None)}
        assert len(requested) == requests_made


def test_no_answer_in_time(evidence: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.network.stow.TIMEOUT_S", (1, 0.2))
    monkeypatch.setattr(web, "TIMEOUT_S", (1, 0.2))
    go_on = threading.Event()
    with answering(lambda _: go_on.wait(10) and None) as (there, _):
        assert summary(store(there, evidence[:2])) == {(Verdict.TRANSIENT, None, "no answer in 60 s")}
        assert check(there) == "no answer in 60 s"
        go_on.set()


def test_a_slow_line_is_no_lost_one(evidence: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.network.stow.TIMEOUT_S", (0.5, 10))
    large = tmp_path / "large.dcm"
    large.write_bytes(evidence[0].read_bytes() + bytes(24_000_000))
    with answering(with_status(507, pause_s=0.05)) as (there, _):
        assert summary(store(there, [large])) == {(Verdict.TRANSIENT, None, "HTTP 507 Insufficient Storage")}


def test_a_connection_that_is_cut_stops_no_other_object(evidence: list[Path]) -> None:
    with answering(lambda handler: handler.connection.close()) as (there, requested):
        outcomes = store(there, evidence)
        assert {(o.verdict, o.status) for o in outcomes} == {(Verdict.TRANSIENT, None)}
        assert all(o.message.startswith("connection failed: ") for o in outcomes)
        assert len(requested) == len(evidence)


def test_neither_the_environment_nor_a_netrc_speaks_for_us(
    orthanc: Orthanc, evidence: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    assert check(node(orthanc)) is None
    assert [o.verdict for o in store(node(orthanc), evidence[:1])] == [Verdict.STORED]

"""DICOM over TLS (PS3.15 B.12) with DCMTK, Orthanc and OpenSSL: who is right is served, the others are told why."""

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from ipaddress import ip_network
from pathlib import Path

import pytest
from helpers.authority import Authority
from helpers.dicom_peers import Orthanc, StoreScp, dcmtk
from helpers.make_ct import make, write
from helpers.programs import program
from helpers.receiving import Receiving
from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.presentation import build_context

from service.network.answers import StoreAnswer
from service.network.callers import ANYWHERE, Caller
from service.network.dimse import STORAGE_COMMITMENT, VERIFICATION
from service.network.peer import DicomNode, associate, echo
from service.network.rights import Right
from service.network.send import Verdict, send
from service.tls import TlsFiles

pytestmark = pytest.mark.peers

LATE = datetime.now(UTC) - timedelta(minutes=5)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write(make(slices=8).datasets, tmp_path_factory.mktemp("phantom"))


@pytest.fixture
def ours(hospital: Authority, tmp_path: Path) -> Iterator[Receiving]:
    """A receiver that wants certificates of the hospital which are not revoked."""
    certificate, key = hospital.issue("thoracle")
    revoked = hospital.revoke(hospital.issue("revoked")[0])
    tls = TlsFiles(certificate, key, hospital.certificate, revoked)
    with Receiving(tmp_path / "ours", calls={"tls": tls}) as receiver:
        yield receiver


def issued(authority: Authority, name: str) -> tuple[Path, Path]:
    """What it has issued before."""
    return authority.certificate.with_name(f"{name}.pem"), authority.certificate.with_name(f"{name}.key")


def node(receiver: Receiving, tls: TlsFiles | None, calling_ae: str = "CT1") -> DicomNode:
    return DicomNode("ai", receiver.AET, "127.0.0.1", receiver.port, calling_ae, tls)


def storescu(receiver: Receiving, file: Path, *options: object) -> subprocess.CompletedProcess[str]:
    return dcmtk("storescu", *options, "127.0.0.1", receiver.port, file)


def as_client(own: tuple[Path, Path], authority: Authority) -> list[object]:
    certificate, key = own
    return ["+tls", key, certificate, "+cf", authority.certificate]


def test_dcmtk_sends_to_us_with_a_right_certificate_only(
    ours: Receiving, hospital: Authority, stranger: Authority, phantom: list[Path]
) -> None:
    right = as_client(hospital.issue("ct1"), hospital)
    for profile in ("+py", "+px", "+pz"):
        assert storescu(ours, phantom[0], *right, profile).returncode == 0, profile
    for wrong in (
        ["+tla", "+cf", hospital.certificate],  # no certificate
        as_client(stranger.issue("ct1"), hospital),  # nobody's whom we know
        as_client(hospital.issue("late", ends=LATE), hospital),
        as_client(
            (hospital.certificate.with_name("revoked.pem"), hospital.certificate.with_name("revoked.key")), hospital
        ),
        as_client(hospital.issue("ct1"), stranger),  # it does not know us
        ["-tls"],
    ):
        assert storescu(ours, phantom[1], *wrong).returncode != 0, wrong
    assert len(ours.rows()) == 1
    assert ours.counts.associations.count("accepted") == 3
    assert storescu(ours, phantom[1], *right).returncode == 0, "what was wrong harms nobody else"


def test_our_words_tell_what_is_wrong_with_either_side(
    ours: Receiving, hospital: Authority, stranger: Authority, phantom: list[Path], tmp_path: Path
) -> None:
    own = hospital.issue("sender")
    right = TlsFiles(*own, hospital.certificate)

    def said(tls: TlsFiles | None) -> str | None:
        return echo(node(ours, tls))

    assert said(right) is None
    where = f"no TLS with 127.0.0.1:{ours.port}: "
    assert said(TlsFiles(*own, stranger.certificate)) == where + (
        "its certificate is not right: no authority that we believe (`ca`) has signed it"
    )
    assert said(TlsFiles(ca=hospital.certificate)) == where + "it wants a certificate of ours (`certificate` and `key`)"
    assert said(TlsFiles(*stranger.issue("sender"), hospital.certificate)) == where + (
        "it does not know who signed our certificate"
    )
    assert said(TlsFiles(*hospital.issue("late", ends=LATE), hospital.certificate)) == where + (
        "our certificate has expired, it says"
    )
    assert (
        said(TlsFiles(*issued(hospital, "revoked"), hospital.certificate))
        == where + "our certificate was revoked, it says"
    )
    assert said(TlsFiles(*own, hospital.certificate, name="pacs.example")) == where + (
        "its certificate is not right: Hostname mismatch, certificate is not valid for 'pacs.example'."
    )
    assert said(
        TlsFiles(*own, hospital.certificate, hospital.revoke(hospital.certificate.with_name("thoracle.pem")))
    ) == (where + "its certificate is not right: certificate revoked")
    assert said(None) == "the peer aborted the association"
    assert (
        said(TlsFiles(tmp_path / "gone.pem"))
        == f"certificate {tmp_path / 'gone.pem'} cannot be read: No such file or directory"
    )
    assert {one.verdict for one in send(node(ours, right), phantom)} == {Verdict.STORED}
    bad = TlsFiles(ca=stranger.certificate)
    assert {one.verdict for one in send(node(ours, bad), phantom[:1])} == {Verdict.TRANSIENT}


def test_results_go_to_dcmtk_by_tls(
    hospital: Authority, stranger: Authority, phantom: list[Path], tmp_path: Path
) -> None:
    certificate, key = hospital.issue("pacs")
    options = ["+tls", str(key), str(certificate), "+cf", str(hospital.certificate)]
    right = TlsFiles(*hospital.issue("sender"), hospital.certificate)
    with StoreScp(tmp_path / "pacs", *options) as pacs:
        there = DicomNode("pacs", "PACS", "127.0.0.1", pacs.port, "THORACLE", right)
        assert {one.verdict for one in send(there, phantom)} == {Verdict.STORED}
        assert len(pacs.received) == len(phantom)
        unknown = replace(there, tls=TlsFiles(*stranger.issue("sender"), hospital.certificate))
        assert (echo(unknown) or "").startswith("no TLS with")
    with StoreScp(tmp_path / "plain") as plain:
        why = echo(replace(there, port=plain.port)) or ""
        assert why.startswith(f"no TLS with 127.0.0.1:{plain.port}: ")
        assert plain.received == []


def test_orthanc_and_we_by_tls_both_ways(hospital: Authority, phantom: list[Path], tmp_path: Path) -> None:
    certificate, key = hospital.issue("orthanc")
    own, own_key = hospital.issue("thoracle-orthanc")
    tls = TlsFiles(own, own_key, hospital.certificate)
    with Receiving(tmp_path / "ours", calls={"tls": tls}) as receiver:
        options = {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(certificate),
            "DicomTlsPrivateKey": str(key),
            "DicomTlsTrustedCertificates": str(hospital.certificate),
            "DicomModalities": {
                "ai": {"AET": receiver.AET, "Host": "127.0.0.1", "Port": receiver.port, "UseDicomTls": True}
            },
        }
        with Orthanc(tmp_path / "orthanc", **options) as pacs:
            there = DicomNode("pacs", pacs.AET, "127.0.0.1", pacs.port, "THORACLE", tls)
            assert echo(there) is None
            assert {one.verdict for one in send(there, phantom)} == {Verdict.STORED}
            (series,) = pacs.get("/series")
            stored = pacs.post("/modalities/ai/store", series)
            assert stored["InstancesCount"] == len(phantom)
            assert len(receiver.rows()) == len(phantom)


@pytest.mark.conformance("security-profiles/bcp-195")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_finds_our_versions_and_no_renegotiation(ours: Receiving, hospital: Authority, version: str) -> None:
    certificate, key = hospital.issue("ct1")
    address = ["-connect", f"127.0.0.1:{ours.port}", "-cert", certificate, "-key", key, "-CAfile", hospital.certificate]
    command = [program("openssl"), "s_client", *map(str, address), version]
    done = subprocess.run(command, input="R\n", capture_output=True, text=True, timeout=60)
    assert "Verify return code: 0 (ok)" in done.stdout
    if version == "-tls1_2":
        assert "Secure Renegotiation IS supported" in done.stdout  # of the extension; it is refused all the same
        assert "no renegotiation" in done.stderr.lower() + done.stdout.lower()
    assert echo(node(ours, TlsFiles(certificate, key, hospital.certificate))) is None


def test_older_versions_and_weak_ciphers_are_not_spoken(ours: Receiving, hospital: Authority) -> None:
    certificate, key = hospital.issue("ct1")
    address = ["-connect", f"127.0.0.1:{ours.port}", "-cert", certificate, "-key", key]
    for weak in (["-tls1_1"], ["-tls1"], ["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"]):
        command = [program("openssl"), "s_client", *map(str, address), *weak]
        done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60)
        assert done.returncode != 0, weak


def test_who_says_nothing_or_nonsense_to_tls_keeps_nobody_out(ours: Receiving, hospital: Authority) -> None:
    right = TlsFiles(*hospital.issue("ct1"), hospital.certificate)
    silent = [socket.create_connection(("127.0.0.1", ours.port)) for _ in range(60)]
    for number, one in enumerate(silent):
        if number % 3 == 0:
            one.sendall(b"\x16\x03\x01\x40\x00")  # a handshake of 16 KiB that never comes
        if number % 3 == 1:
            one.sendall(b"GET / HTTP/1.1\r\n\r\n")
    began = time.monotonic()
    assert echo(node(ours, right)) is None
    assert time.monotonic() - began < 5
    for one in silent:
        one.close()


def test_a_renewed_certificate_is_shown_without_a_restart(hospital: Authority, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    certificate, key = folder / "ours.pem", folder / "ours.key"

    def install(name: str) -> None:
        for source, target in zip(hospital.issue(name), (certificate, key), strict=True):
            shutil.copy(source, target.with_suffix(".new"))
            target.with_suffix(".new").replace(target)

    def shown(port: int) -> str:
        context = ssl.create_default_context(cafile=str(hospital.certificate))
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            return str(dict(part[0] for part in connection.getpeercert()["subject"])["commonName"])  # type: ignore[index]

    install("first")
    with Receiving(tmp_path / "ours", calls={"tls": TlsFiles(certificate, key)}) as receiver:
        assert shown(receiver.port) == "first"
        certificate.write_text("half a certif")
        assert shown(receiver.port) == "first", "what cannot be used leaves the old one"
        install("second")
        assert shown(receiver.port) == "second"


@pytest.mark.conformance("store-answers/0124")
def test_a_caller_is_title_address_and_certificate_and_may_what_it_may(
    hospital: Authority, phantom: list[Path], tmp_path: Path
) -> None:
    tls = TlsFiles(*hospital.issue("thoracle-callers"), hospital.certificate)
    here, elsewhere = (ip_network("127.0.0.0/8"),), (ip_network("10.1.2.0/24"),)
    callers = {
        "CT1": Caller(here, ["ct1"]),
        "CT2": Caller(elsewhere),
        "PACS": Caller(here, may=frozenset({Right.REPORT})),
        "MR?": Caller(here, may=frozenset({Right.STORE})),
    }
    ct1, other = as_client(hospital.issue("ct1"), hospital), as_client(hospital.issue("ct9"), hospital)
    with Receiving(tmp_path / "ours", calls={"tls": tls, "callers": callers}, on_report=lambda *_: False) as receiver:
        assert storescu(receiver, phantom[0], *ct1, "-aet", "CT1").returncode == 0
        for rejected in ((*other, "-aet", "CT1"), (*ct1, "-aet", "CT2"), (*ct1, "-aet", "CT3"), (*ct1, "-aet", "MR")):
            done = storescu(receiver, phantom[1], *rejected)
            assert "Calling AE Title Not Recognized" in done.stderr, rejected
        refused = storescu(receiver, phantom[1], *ct1, "-aet", "PACS")
        assert refused.returncode != 0
        assert receiver.counts.statuses[-1] == StoreAnswer.NOT_AUTHORISED
        assert storescu(receiver, phantom[2], *other, "-aet", "MR1").returncode == 0
        assert len(receiver.rows()) == 2
        report = [build_context(STORAGE_COMMITMENT), build_context(VERIFICATION)]
        for caller, may in (("PACS", True), ("MR1", False)):
            node = DicomNode(
                "ai",
                receiver.AET,
                "127.0.0.1",
                receiver.port,
                caller,
                TlsFiles(*hospital.issue("pacs"), hospital.certificate),
            )
            association = associate(node, report)
            offered = {str(one.abstract_syntax) for one in association.accepted_contexts}
            association.release()
            assert (str(STORAGE_COMMITMENT) in offered) is may, caller


def test_a_certificate_that_cannot_be_read_costs_its_own_connection_only(ours: Receiving, hospital: Authority) -> None:
    unreadable = TlsFiles(*hospital.issue_unreadable("careless"), hospital.certificate)
    assert echo(node(ours, unreadable)) is not None
    assert echo(node(ours, TlsFiles(*hospital.issue("ct1"), hospital.certificate))) is None


@pytest.mark.conformance("report-answers/0124")
def test_who_may_not_report_reports_in_no_context(tmp_path: Path) -> None:
    """pynetdicom hands a report on whatever context it comes by."""
    reports: list[str] = []
    callers = {"MR1": Caller(ANYWHERE, may=frozenset({Right.STORE})), "PACS": Caller(ANYWHERE)}

    def told(calling_ae: str, _report: object) -> bool:
        reports.append(calling_ae)
        return True

    with Receiving(tmp_path, calls={"callers": callers}, on_report=told) as receiver:
        for caller, syntaxes, wanted in (
            ("MR1", [VERIFICATION], StoreAnswer.NOT_AUTHORISED),
            ("PACS", [VERIFICATION], StoreAnswer.NOT_AUTHORISED),
            ("PACS", [STORAGE_COMMITMENT], 0x0000),
        ):
            association = associate(node(receiver, None, caller), [build_context(one) for one in syntaxes])
            (context,) = association.accepted_contexts
            assert reported(association, context.context_id) == wanted, (caller, syntaxes)
            association.release()
    assert reports == ["PACS"]


def reported(association: Association, context_id: int | None) -> int:
    """The status of an N-EVENT-REPORT that all is kept (PS3.4 J.3.3), sent in this context."""
    report = Dataset()
    report.TransactionUID = "1.2.3"
    kept = Dataset()
    kept.ReferencedSOPClassUID, kept.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.3.4"
    report.ReferencedSOPSequence = [kept]
    request = N_EVENT_REPORT()
    request.MessageID = 1
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = STORAGE_COMMITMENT, UID("1.2.840.10008.1.20.1.1")
    request.EventTypeID = 1
    request.EventInformation = BytesIO(encode(report, True, True) or b"")
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, context_id or 1)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    assert isinstance(answer, N_EVENT_REPORT) and answer.Status is not None
    return answer.Status

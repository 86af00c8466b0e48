"""Contexts are strict, files are followed, and what is wrong with one is said by its name."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from helpers.authority import VALID, Authority

from service import tls
from service.composition.certificates import in_use
from service.errors import Permanent
from service.ops.doctor import check_certificates
from service.ops.gauges import CertificateCollector
from service.settings import Settings
from service.tls import FollowedFiles, TlsFiles, client_context, ends, names_in, server_context

NOW = datetime.now(UTC)


@pytest.fixture
def hospital(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "hospital")


@pytest.mark.parametrize("made", [client_context, server_context])
def test_only_modern_tls_is_spoken(hospital: Authority, made: Callable[[TlsFiles], ssl.SSLContext]) -> None:
    context = made(TlsFiles(*hospital.issue("us"), hospital.certificate, hospital.revoke()))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.verify_flags & ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    assert context.options & ssl.OP_NO_RENEGOTIATION
    older = [cipher["name"] for cipher in context.get_ciphers() if cipher["protocol"] == "TLSv1.2"]
    assert older and all(name.startswith("ECDHE-") and ("GCM" in name or "CHACHA20" in name) for name in older)


def test_a_client_checks_the_name_and_a_port_asks_for_certificates_only_with_an_authority(hospital: Authority) -> None:
    assert client_context(TlsFiles()).check_hostname
    assert client_context(TlsFiles()).get_ca_certs() or not Path("/etc/ssl/certs").exists()
    assert len(client_context(TlsFiles(ca=hospital.certificate)).get_ca_certs()) == 1, "and no public one"
    assert server_context(TlsFiles(*hospital.issue("us"))).verify_mode == ssl.CERT_NONE


def test_what_is_wrong_with_a_file_is_said_by_its_name(hospital: Authority, tmp_path: Path) -> None:
    (certificate, key), (_, another) = hospital.issue("us"), hospital.issue("another")
    encrypted, nonsense, gone = tmp_path / "encrypted.key", tmp_path / "nonsense.pem", tmp_path / "gone.pem"
    plain = serialization.load_pem_private_key(key.read_bytes(), None)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    secret = serialization.BestAvailableEncryption(b"secret")
    encrypted.write_bytes(plain.private_bytes(serialization.Encoding.PEM, form, secret))
    nonsense.write_text("no PEM")
    for files, why in (
        (TlsFiles(certificate, another), f"certificate {certificate} is no use: its key is another's"),
        (TlsFiles(certificate, encrypted), f"key {encrypted} is encrypted: only a key without a password is of use"),
        (TlsFiles(nonsense, key), f"certificate {nonsense} is no use: no certificate and key (PEM)"),
        (TlsFiles(gone, key), f"certificate {gone} cannot be read: No such file or directory"),
        (TlsFiles(ca=tmp_path), f"ca {tmp_path} cannot be read: Is a directory"),
        (TlsFiles(ca=nonsense), f"ca {nonsense} is no use: NO_CERTIFICATE_OR_CRL_FOUND"),
    ):
        for made in (client_context, server_context):
            with pytest.raises(Permanent) as refused:
                made(files)
            assert str(refused.value) == why


def test_a_context_follows_its_files_and_outlives_bad_ones(hospital: Authority) -> None:
    certificate, key = hospital.issue("us")
    followed = FollowedFiles(TlsFiles(certificate, key))
    first = followed.context
    assert followed.context is first
    whole = certificate.read_bytes()
    certificate.write_bytes(whole[:100])
    assert followed.context is first, "half a file is none"
    certificate.unlink()
    assert followed.context is first
    certificate.write_bytes(whole)
    assert followed.context is not first


def test_files_that_were_no_use_are_tried_again(hospital: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rights that are mended change nothing of the file; nor does it when no more files could be opened."""
    certificate, key = hospital.issue("us")
    refuses = True

    def made(files: TlsFiles) -> ssl.SSLContext:
        if refuses and followed:
            raise Permanent("cannot be read")
        return server_context(files)

    followed: list[FollowedFiles] = []
    followed.append(FollowedFiles(TlsFiles(certificate, key), made))
    first = followed[0].context
    hospital.issue("us")
    assert followed[0].context is first
    refuses = False
    assert followed[0].context is first, "not at every connection"
    monkeypatch.setattr(tls, "_AGAIN_S", 0.0)
    assert followed[0].context is not first


def test_what_only_openssl_can_read_ends_no_check(hospital: Authority, tmp_path: Path) -> None:
    odd = tmp_path / "bundle.pem"
    (certificate, _) = hospital.issue("us")
    trusted = hospital.certificate.read_bytes().replace(b"BEGIN CERT", b"BEGIN TRUSTED CERT")
    odd.write_bytes(trusted.replace(b"END CERT", b"END TRUSTED CERT") + certificate.read_bytes())
    assert list(ends(TlsFiles(ca=odd))) == [odd]
    odd.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert ends(TlsFiles(ca=odd)) == {}


def test_the_metric_tells_what_a_port_can_use(hospital: Authority) -> None:
    (certificate, _), (_, another) = hospital.issue("us"), hospital.issue("another")
    (family,) = CertificateCollector({"receiver": TlsFiles(certificate, another)}, ["receiver"]).collect()
    assert [sample.value for sample in family.samples] == [0.0]


def test_ends_are_the_first_of_ours_and_the_last_of_the_authorities(hospital: Authority, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    soon, late = now + timedelta(hours=3), now + timedelta(days=1)
    short, long = hospital.issue("short", ends=soon)[0], hospital.issue("long", ends=late)[0]
    both = tmp_path / "both.pem"
    both.write_bytes(short.read_bytes() + long.read_bytes())
    found = ends(TlsFiles(both, ca=long, crl=hospital.revoke(short)))
    hours = [(end - now).total_seconds() / 3600 for end in found.values()]
    assert hours == pytest.approx([3, 24, VALID / timedelta(hours=1)], abs=0.1)
    assert (ends(TlsFiles(ca=both))[both] - now).total_seconds() / 3600 == pytest.approx(24, abs=0.1)


def test_names_are_common_names_and_host_names() -> None:
    shown = {
        "subject": ((("countryName", "DE"),), (("commonName", "ct1"),)),
        "subjectAltName": (("DNS", "ct1.example"), ("IP Address", "10.1.2.3")),
    }
    assert names_in(shown) == {"ct1", "ct1.example"}
    assert names_in(None) == names_in({}) == frozenset()


def test_doctor_names_the_file_that_ends(hospital: Authority) -> None:
    files = TlsFiles(*hospital.issue("us", ends=NOW + timedelta(days=1)), hospital.certificate)

    def checked(at: datetime, files: TlsFiles = files) -> tuple[bool, str]:
        found = check_certificates("receiver", files, True, at)
        assert found.name == "certificates, receiver"
        return found.ok, found.message

    day = f"{NOW + timedelta(days=1):%Y-%m-%d}"
    assert checked(NOW - timedelta(days=60)) == (True, f"usable until {day}")
    ok, said = checked(NOW)
    assert ok and f"{files.certificate} ends on {day}: renew it" in said
    assert checked(NOW + timedelta(days=1, hours=1))[0] is False
    assert f"{files.certificate} has ended on {day}" in checked(NOW + timedelta(days=1, hours=1))[1]
    gone = TlsFiles(Path("gone.pem"))
    assert checked(NOW, gone) == (False, "certificate gone.pem cannot be read: No such file or directory")


def test_every_certificate_of_the_settings_is_watched(hospital: Authority) -> None:
    own = hospital.issue("us")
    tls = {"certificate": own[0], "key": own[1], "ca": hospital.certificate}
    settings = Settings(
        receiver={  # type: ignore[arg-type]
            "tls": tls,
            "callers": {"CT1": {"addresses": ["10.1.2.3"], "host": "ct1", "port": 104, "tls": {"ca": "gone.pem"}}},
        },
        destinations={  # type: ignore[arg-type]
            "pacs": {"ae_title": "PACS", "host": "pacs", "tls": tls},
            "plain": {"ae_title": "PACS", "host": "pacs"},
            "web": {"kind": "dicomweb", "url": "https://web", "tls": {"ca": hospital.certificate}},
            "public": {"ae_title": "PACS", "host": "pacs", "tls": {}},
        },
        inference={"backend": "triton", "triton": {"tls": tls}},  # type: ignore[arg-type]
        api={"tls": tls},  # type: ignore[arg-type]
        database_url="postgresql+psycopg://thoracle@db/thoracle",  # type: ignore[arg-type]
        database_tls={"ca": hospital.certificate},  # type: ignore[arg-type]
        bucket={"url": "s3://b", "tls": {"ca": hospital.certificate}},  # type: ignore[arg-type]
    )
    (family,) = CertificateCollector(in_use(settings)).collect()
    found = {sample.labels["use"]: sample.value for sample in family.samples}
    assert found.pop("sender CT1") == 0, "it cannot be read"
    assert found.keys() == {
        *("receiver", "destination pacs", "destination web", "triton", "api", "database", "bucket"),
    }
    last = (datetime.now(UTC) + VALID).timestamp()
    assert all(value == pytest.approx(last, abs=60) for value in found.values())

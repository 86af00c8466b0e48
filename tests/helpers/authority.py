"""A certificate authority for tests: it issues certificates, late ones too, and revokes them."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtensionOID, NameOID

VALID = timedelta(days=60)


class Authority:
    """An authority with files in a folder of its own. certificate: its PEM file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lists = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(f"authority in {folder.name}")
        own = self._builder(self._name, self._key.public_key(), datetime.now(UTC) + VALID)
        made = own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = folder / "authority.pem"
        self.certificate.write_bytes(_pem(made.sign(self._key, hashes.SHA256())))

    def issue(
        self, name: str, host: str = "127.0.0.1", ends: datetime | None = None, with_rsa: bool = False
    ) -> tuple[Path, Path]:
        """A certificate for a host and its key: PEM files. ends: default: after `VALID`. with_rsa: else ECDSA."""
        try:
            made_for: x509.GeneralName = x509.IPAddress(ip_address(host))
        except ValueError:
            made_for = x509.DNSName(host)
        return self._issue(name, x509.SubjectAlternativeName([made_for]), ends, with_rsa)

    def issue_unreadable(self, name: str) -> tuple[Path, Path]:
        """One that OpenSSL takes, and Python's ssl cannot read: its host name is no ASCII."""
        host = b"r\xf6ntgen"
        names = bytes([0x30, len(host) + 2, 0x82, len(host)]) + host
        return self._issue(name, x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, names), None)

    def _issue(
        self, name: str, made_for: x509.ExtensionType, ends: datetime | None, with_rsa: bool = False
    ) -> tuple[Path, Path]:
        key = rsa.generate_private_key(65537, 2048) if with_rsa else ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._builder(_named(name), key.public_key(), ends or datetime.now(UTC) + VALID)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(made_for, critical=False)
        )
        certificate, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        form = serialization.PrivateFormat.TraditionalOpenSSL
        none = serialization.NoEncryption()
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, none))
        return certificate, key_file

    def revoke(self, *certificates: Path) -> Path:
        """The list of revoked certificates: these."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(now - timedelta(hours=1)).next_update(now + VALID)
        for path in certificates:
            number = x509.load_pem_x509_certificate(path.read_bytes()).serial_number
            revoked = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - timedelta(hours=1))
            builder = builder.add_revoked_certificate(revoked.build())
        self._lists += 1
        revoked_ones = self._folder / f"crl-{self._lists}.pem"
        revoked_ones.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        return revoked_ones

    def _builder(self, name: x509.Name, key: CertificatePublicKeyTypes, ends: datetime) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self._name).public_key(key)
        begins = min(datetime.now(UTC), ends) - timedelta(hours=1)
        return builder.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(made: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return made.public_bytes(serialization.Encoding.PEM)

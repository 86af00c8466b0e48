"""Versions and cipher suites of TLS that the conformance statement tells, tried with OpenSSL against both sides."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.authority import Authority
from helpers.conformance import tried
from helpers.dicom_peers import free_port, wait_until
from helpers.programs import program
from helpers.receiving import Receiving

from service.conformance.rows import Row
from service.conformance.security import ciphers, versions
from service.tls import TlsFiles, client_context

pytestmark = pytest.mark.peers

_VERSION = {"TLSv1": "-tls1", "TLSv1_1": "-tls1_1", "TLSv1_2": "-tls1_2", "TLSv1_3": "-tls1_3"}


@pytest.fixture(scope="module")
def ports(hospital: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, int]]:
    """Ports of two receivers, by whether their certificate has an RSA key."""
    folder = tmp_path_factory.mktemp("receivers")
    files = {rsa: TlsFiles(*hospital.issue(f"port {rsa}", with_rsa=rsa)) for rsa in (False, True)}
    receivers = {rsa: Receiving(folder / str(rsa), calls={"tls": tls}) for rsa, tls in files.items()}
    with receivers[False] as ecdsa, receivers[True] as rsa:
        yield {False: ecdsa.port, True: rsa.port}


def agreed(port: int, *options: str) -> str:
    """What OpenSSL says of its handshake with a port."""
    command = [program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", *options]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=20)
    return done.stdout


@pytest.mark.parametrize("row", tried(versions()))
def test_a_version_is_spoken_or_not(row: Row, ports: dict[bool, int]) -> None:
    weak = ["-cipher", "DEFAULT@SECLEVEL=0"] if row.key in ("TLSv1", "TLSv1_1") else []
    said = agreed(ports[True], _VERSION[row.key], *weak)
    spoken = (
        f"Protocol  : {row.key.replace('_', '.')}" in said or f"New, {row.key.replace('_', '.')}, Cipher is" in said
    )
    assert spoken and "Cipher is (NONE)" not in said if row.cells[1] == "yes" else "Cipher is (NONE)" in said


@pytest.mark.parametrize("row", tried(ciphers()))
def test_our_ports_and_our_connections_agree_on_a_cipher_suite(
    row: Row, ports: dict[bool, int], hospital: Authority, tmp_path: Path
) -> None:
    new = row.key.startswith("TLS_")
    only = ["-tls1_3", "-ciphersuites", row.key] if new else ["-tls1_2", "-cipher", row.key]
    rsa = "-RSA-" in row.key
    assert row.cells[1:] == ("yes", "yes")
    assert f"Cipher is {row.key}" in agreed(ports[rsa], *only)
    assert connected(only, hospital.issue(f"server {row.key}", with_rsa=rsa), hospital) == row.key


def connected(only: list[str], own: tuple[Path, Path], authority: Authority) -> str:
    """The cipher suite of our connection to OpenSSL's server, which knows one only."""
    port = free_port()
    command = [
        program("openssl"),
        "s_server",
        "-accept",
        str(port),
        "-cert",
        *map(str, (own[0], "-key", own[1])),
        *only,
    ]
    server = subprocess.Popen([*command, "-quiet"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        connection = wait_until(lambda: reached(port), 10)
        context = client_context(TlsFiles(ca=authority.certificate))
        with connection, context.wrap_socket(connection, server_hostname="127.0.0.1") as encrypted:
            found = encrypted.cipher()
            assert found is not None
            return str(found[0])
    finally:
        server.kill()
        server.communicate()


def reached(port: int) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=5)
    except ConnectionRefusedError:
        return None

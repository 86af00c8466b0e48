"""TLS to PostgreSQL and to a bucket, and of the API: the same `Tls`, and the same strictness."""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPSConnection, RemoteDisconnected
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from helpers.authority import Authority
from helpers.dicom_peers import free_port
from helpers.postgresql import PostgreSQL
from helpers.s3_server import S3Server
from helpers.tls_proxy import TlsProxy
from sqlalchemy.exc import OperationalError

from service.composition.storage import bucket, database
from service.errors import Permanent
from service.ops.connections import ConnectionLimits
from service.ops.monitor import Listener
from service.settings import Settings
from service.store.engine import database_engine
from service.store.object_spool import ObjectSpool
from service.store.s3 import s3_store
from service.tls import FollowedFiles, TlsFiles, client_context

pytestmark = pytest.mark.peers


def test_postgresql_is_believed_by_its_certificate_and_believes_ours(hospital: Authority, stranger: Authority) -> None:
    certificate, key = hospital.issue("worker")
    key.chmod(0o600)
    right = {"certificate": certificate, "key": key, "ca": hospital.certificate}
    own = hospital.issue("database")
    with PostgreSQL(tls=(*own, hospital.certificate)) as server:

        def answers(tls: dict[str, Path] | None, host: str = "127.0.0.1") -> bool:
            url = f"postgresql+psycopg://postgres@{host}:{server.port}/postgres"
            settings = Settings(database_url=url, database_tls=tls)  # type: ignore[arg-type]
            engine = database_engine(database(settings, "records.db"))
            try:
                with engine.connect() as connection:
                    used = connection.execute(sa.text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
                    return bool(used.scalar_one())
            except OperationalError:
                return False
            finally:
                engine.dispose()

        assert answers(right)
        assert not answers(right, "localhost"), "its certificate names another host"
        assert not answers(right | {"ca": stranger.certificate})
        assert not answers(right | {"crl": hospital.revoke(own[0])})
        assert not answers({"ca": hospital.certificate}), "it wants a certificate of ours"
        assert not answers(None)


def test_a_bucket_of_an_authority_of_our_own(
    hospital: Authority, stranger: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with S3Server(tmp_path / "s3") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        with TlsProxy(int(server.endpoint.rpartition(":")[2]), hospital.issue("s3"), clients=None) as proxy:

            def why_not(ca: Path | None) -> str | None:
                told = server.settings("tls") | {"endpoint": f"https://127.0.0.1:{proxy.port}"}
                store = bucket(Settings(bucket=told | ({"tls": {"ca": ca}} if ca else {})))  # type: ignore[arg-type]
                assert store is not None
                return store.why_not()

            assert why_not(hospital.certificate) is None
            strange = s3_store(
                "s3://thoracle/tls", f"https://127.0.0.1:{proxy.port}", retry_s=0.5, ca=stranger.certificate
            )
            assert ObjectSpool(strange).why_not()
            with pytest.raises(Permanent, match="cannot be read: No such file"):
                why_not(tmp_path / "gone.pem")
            nonsense = tmp_path / "nonsense.pem"
            nonsense.write_text("no PEM")
            with pytest.raises(Permanent, match="cannot be used"):
                why_not(nonsense)


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    app.add_api_route("/", lambda: "answer")
    return app


@pytest.fixture
def api(app: FastAPI, hospital: Authority) -> Iterator[int]:
    """A port that wants certificates, with a place for three connections."""
    port, files = free_port(), TlsFiles(*hospital.issue("api"), hospital.certificate)
    limits = ConnectionLimits(most=3, request_s=1.0)
    with Listener("API", app, "127.0.0.1", port, limits, FollowedFiles(files)):
        yield port


def ask(port: int, files: TlsFiles) -> str:
    connection = HTTPSConnection("127.0.0.1", port, timeout=10, context=client_context(files))
    try:
        connection.request("GET", "/")
        return str(json.load(connection.getresponse()))
    finally:
        connection.close()


def test_the_api_speaks_tls_with_whom_it_knows_and_nothing_else(
    api: int, hospital: Authority, stranger: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    right = TlsFiles(*hospital.issue("operator"), hospital.certificate)
    for _ in range(5):
        assert ask(api, right) == "answer"
    for wrong in (TlsFiles(ca=hospital.certificate), TlsFiles(*stranger.issue("operator"), hospital.certificate)):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(api, wrong)
    with socket.create_connection(("127.0.0.1", api), 5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
        assert b"answer" not in plain.recv(1000)
    assert ask(api, right) == "answer"
    told = [record.getMessage() for record in caplog.records]
    assert "no TLS with 127.0.0.1: it shows no certificate" in told
    assert "no TLS with 127.0.0.1: it speaks HTTP without TLS" in told


def test_who_never_agrees_on_tls_holds_a_place_for_a_second_only(api: int, hospital: Authority) -> None:
    right = TlsFiles(*hospital.issue("operator"), hospital.certificate)
    silent = [socket.create_connection(("127.0.0.1", api), 5) for _ in range(3)]
    time.sleep(0.2)
    with pytest.raises(OSError):
        ask(api, right)
    time.sleep(1.5)
    assert ask(api, right) == "answer"
    for one in silent:
        one.close()


def test_who_agrees_and_then_says_nothing_or_cannot_be_read_gives_its_place_back(api: int, hospital: Authority) -> None:
    right = TlsFiles(*hospital.issue("operator"), hospital.certificate)
    context = client_context(right)
    silent = [
        context.wrap_socket(socket.create_connection(("127.0.0.1", api), 5), server_hostname="127.0.0.1")
        for _ in range(3)
    ]
    time.sleep(4)
    assert ask(api, right) == "answer"
    for one in silent:
        one.close()
    for _ in range(4):
        with pytest.raises((ssl.SSLError, ConnectionError, RemoteDisconnected)):
            ask(api, TlsFiles(*hospital.issue_unreadable("careless"), hospital.certificate))
    assert ask(api, right) == "answer", "there are three places"


def test_a_request_that_comes_with_the_last_word_of_the_handshake_is_heard(api: int, hospital: Authority) -> None:
    context = client_context(TlsFiles(*hospital.issue("operator"), hospital.certificate))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", api), 5) as plain:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
        tls.write(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
        plain.sendall(outgoing.read())
        heard = b""
        while b"answer" not in heard:
            incoming.write(plain.recv(65536))
            with suppress(ssl.SSLWantReadError):
                while True:
                    heard += tls.read(65536)

"""A real PostgreSQL server as a process, with a new database for each test. Absent: skip; in CI: fail."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from functools import partial
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

from helpers.dicom_peers import free_port, wait_until

_USER = "postgres"


class PostgreSQL:
    """A private server on a free port, used in a `with` block. host: the address it listens on.

    tls: certificate, key and authority of its clients; with them it takes nothing else.
    """

    def __init__(self, host: str = "127.0.0.1", tls: tuple[Path, Path, Path] | None = None) -> None:
        self.host = host
        self._tls = tls
        self.port = free_port()

    def __enter__(self) -> Self:
        initdb, server = _program("initdb"), _program("postgres")
        # Not below pytest's own folder, which only its user may enter: PostgreSQL refuses to run as root.
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
        who: dict[str, Any] = {"user": _USER, "group": _USER, "extra_groups": []} if os.geteuid() == 0 else {}
        if who:
            shutil.chown(self._folder, _USER, _USER)
        data = self._folder / "data"
        setup = [initdb, "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(setup, check=True, capture_output=True, cwd=self._folder, **who)
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\n")
        options = [f"listen_addresses={self.host}", "unix_socket_directories=", "fsync=off", "max_connections=200"]
        if self._tls:
            (data / "pg_hba.conf").write_text("hostssl all all samehost trust clientcert=verify-ca\n")
            for name, source in zip(("ssl_cert_file", "ssl_key_file", "ssl_ca_file"), self._tls, strict=True):
                own = Path(shutil.copy(source, self._folder / name))
                own.chmod(0o600)
                if who:
                    shutil.chown(own, _USER, _USER)
                options.append(f"{name}={own}")
            options.append("ssl=on")
        command = [server, "-D", data, "-p", str(self.port), *(word for option in options for word in ("-c", option))]
        self._start = partial(subprocess.Popen, command, cwd=self._folder, stderr=subprocess.DEVNULL, **who)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)  # SIGTERM would wait for its clients
        self._process.wait()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """It answers when this returns."""
        self._process = self._start()
        wait_until(self._answers, 60)

    def crash(self) -> None:
        """It ends as a crash does: no session is told, and the next start recovers."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()

    def create(self) -> str:
        """The URL of a new, empty database, whose sessions are far from UTC: none of our times may depend on that."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        self.execute(f"ALTER DATABASE {name} SET timezone TO 'Asia/Kolkata'")
        return f"postgresql+psycopg://{_USER}@{self.host}:{self.port}/{name}"

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement as the server's administrator; its rows, if it gives any."""
        address = {"host": self.host, "port": self.port, "user": _USER, "dbname": "postgres"}
        with psycopg.connect(**address, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _answers(self) -> bool:
        assert self._process.poll() is None, "PostgreSQL did not start"
        try:
            if self._tls:
                socket.create_connection((self.host, self.port), 1).close()
            else:
                self.execute("SELECT 1")
        except (psycopg.OperationalError, OSError):
            return False
        return True


def _program(name: str) -> str:
    """Debian keeps the server's programs beside each other by version, outside PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    if found:
        return str(found[-1])
    reason = "PostgreSQL is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)

"""TLS in front of a real peer, as a hospital's proxy has it; certificates are OpenSSL's."""

import asyncio
import contextlib
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Self

from helpers.programs import program


class Authority:
    """A certificate authority of its own. certificate: its PEM file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate, self._key = self._request("authority", "basicConstraints=critical,CA:TRUE")

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate for 127.0.0.1 and its key: PEM files."""
        signed = ["-CA", str(self.certificate), "-CAkey", str(self._key)]
        return self._request(name, "basicConstraints=critical,CA:FALSE", *signed)

    def _request(self, name: str, constraints: str, *options: str) -> tuple[Path, Path]:
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        files = ["-subj", f"/CN={name}", "-keyout", str(key), "-out", str(certificate)]
        extensions = ["-addext", constraints, "-addext", "subjectAltName=IP:127.0.0.1"]
        command = [program("openssl"), "req", *kind, *files, *extensions, *options]
        subprocess.run(command, check=True, capture_output=True)
        return certificate, key


class TlsProxy:
    """Passes on to 127.0.0.1:`behind` what clients say that show a certificate of `clients`."""

    def __init__(self, behind: int, own: tuple[Path, Path], clients: Path) -> None:
        self._behind = behind
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(clients))
        self._context.load_cert_chain(*own)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self._behind)
        await asyncio.gather(_pump(reader, forth), _pump(back, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()

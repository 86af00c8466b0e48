"""A real collector of audit messages: rsyslog, which takes syslog over TLS and writes each message to a line."""

import signal
import subprocess
from pathlib import Path
from typing import Self
from xml.etree import ElementTree

from helpers.authority import Authority
from helpers.dicom_peers import free_port, require, wait_until

_SCHEMA = Path(__file__).parents[1] / "schemas" / "audit-message.xsd"


class Rsyslog:
    """Used in a `with` block; may be killed and started again."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        self._authority = authority
        self._lines = folder / "messages"
        certificate, key = authority.issue("collector")
        self._configuration = folder / "rsyslog.conf"
        self._configuration.write_text(f"""
global(workDirectory="{folder}" maxMessageSize="64k" defaultNetstreamDriver="ossl"
  defaultNetstreamDriverCAFile="{authority.certificate}"
  defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
input(type="imtcp" port="{self.port}" address="127.0.0.1")
template(name="whole" type="string" string="%rawmsg%\\n")
action(type="omfile" file="{self._lines}" template="whole" flushOnTXEnd="on")
""")

    @property
    def settings(self) -> dict[str, object]:
        """What a service says of it in its configuration."""
        certificate, key = self._authority.issue("service")
        files = {"certificate": str(certificate), "key": str(key), "ca": str(self._authority.certificate)}
        return {"host": "127.0.0.1", "port": self.port, "tls": files}

    def start(self) -> Self:
        command = [require("rsyslogd"), "-n", "-f", str(self._configuration), "-i", str(self.folder / "pid")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(lambda: "LISTEN" in _listening(self.port), 20)
        return self

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(20)

    def messages(self) -> list[ElementTree.Element]:
        """The audit messages that it has, in their order."""
        text = self._lines.read_text(encoding="utf-8") if self._lines.exists() else ""
        return [ElementTree.fromstring(line[line.index("<AuditMessage") :]) for line in text.splitlines()]

    def check(self) -> None:
        """AssertionError, in xmllint's words, if a message is not as the schema wants it."""
        files = []
        for number, message in enumerate(self.messages()):
            files.append(self.folder / f"{number}.xml")
            files[-1].write_bytes(ElementTree.tostring(message))
        command = [require("xmllint"), "--noout", "--schema", str(_SCHEMA), *map(str, files)]
        checked = subprocess.run(command, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr


def _listening(port: int) -> str:
    return subprocess.run(
        [require("ss"), "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True
    ).stdout

"""A real OpenID provider (npm's oidc-provider) as a process of its own, and a browser without a screen that logs in.

Not to be had: skip with the reason; in CI: fail.
"""

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import urljoin

import httpx
import pytest

from helpers.dicom_peers import free_port, require, wait_until

VERSION = "9.13.3"
CLIENT_SECRET = "a secret of the test"
BUILD = Path(__file__).parents[3] / "build"
_SCRIPT = Path(__file__).with_name("provider.mjs")
_MOST_STEPS = 12


class OpenIdProvider:
    """Used in a `with` block. groups: of each name; back: address to which it sends people."""

    def __init__(self, back: str, groups: Mapping[str, Sequence[str]], log: Path) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self._arguments = [str(modules()), str(self.port), json.dumps(groups), back]
        self._log = log

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([require("node"), str(_SCRIPT), *self._arguments], stdout=log, stderr=log)
        wait_until(self._listens, 30)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


def modules() -> Path:
    """The folder with the provider's packages, fetched once."""
    folder = BUILD / f"oidc-provider-{VERSION}"
    if folder.exists():
        return folder
    part = folder.with_suffix(f".{os.getpid()}")
    part.mkdir(parents=True)
    command = [
        require("npm"),
        "install",
        "--silent",
        "--ignore-scripts",
        "--prefix",
        str(part),
        f"oidc-provider@{VERSION}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        shutil.rmtree(part)
        reason = f"npm cannot fetch oidc-provider: {done.stderr.strip()[-300:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with suppress(OSError):  # another test process was quicker
        part.rename(folder)
    return folder


def logged_in_at(provider: OpenIdProvider, start: str, name: str) -> str:
    """Follow the provider's pages from an address, log in as somebody and agree; the address to which it sends back."""
    with httpx.Client(timeout=30) as browser:
        answer = browser.get(start)
        for _ in range(_MOST_STEPS):
            if location := answer.headers.get("location"):
                address = urljoin(str(answer.url), location)
                if not address.startswith(provider.issuer):
                    return address
                answer = browser.get(address)
                continue
            form = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            assert form and prompt, answer.text
            fields = {"prompt": prompt[1], "login": name, "password": "any"}
            answer = browser.post(urljoin(str(answer.url), form[1]), data=fields)
    raise AssertionError("the provider sends nobody back")

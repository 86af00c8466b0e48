"""Who connects to the receiver without asking for an association: health checks, load balancers, port scans."""

import socket
from pathlib import Path

import pytest
from helpers.dicom_peers import wait_until
from helpers.receiving import Receiving

from service.network.peer import echo


@pytest.mark.peers
def test_a_connection_that_asks_for_nothing_holds_no_place(tmp_path: Path) -> None:
    with Receiving(tmp_path, calls={"max_associations": 2}) as receiving:
        for _ in range(10):
            socket.create_connection(("127.0.0.1", receiving.port)).close()
        wait_until(lambda: echo(receiving.node) is None, 15)

"""A port that is opened once, and by several receivers listened on."""

import errno
import os
import socket
from pathlib import Path

import pytest
from helpers.dicom_peers import free_port, wait_until
from helpers.receiving import Receiving
from pynetdicom import AE

from service.network.listening_port import bound_port, inherited_port, listen, refuse

VERIFICATION = "1.2.840.10008.1.1"


def answers(port: int) -> bool:
    ae = AE()
    ae.connection_timeout = 2
    ae.add_requested_context(VERIFICATION)
    association = ae.associate("127.0.0.1", port)
    if not association.is_established:
        return False
    status = association.send_c_echo()
    association.release()
    return bool(status.Status == 0)


def test_a_port_in_use_is_said_with_its_address() -> None:
    with bound_port("127.0.0.1", 0) as taken:
        listen(taken)
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
            bound_port("127.0.0.1", port)


def test_a_host_that_does_not_exist_is_said_with_its_address() -> None:
    with pytest.raises(OSError, match=r"cannot listen on no-such-host\.invalid:104"):
        bound_port("no-such-host.invalid", 104)


def test_what_is_inherited_is_not_handed_on() -> None:
    with bound_port("::1", 0) as first:
        descriptor = os.dup(first.fileno())
        os.set_inheritable(descriptor, True)
        with inherited_port(descriptor) as port:
            assert port.getsockname() == first.getsockname()
            assert not port.get_inheritable()


def test_who_stops_listening_leaves_the_port_to_the_others(tmp_path: Path) -> None:
    with bound_port("127.0.0.1", 0) as port:
        number = port.getsockname()[1]
        other = {"bound": port.dup(), "processes": 2}
        with Receiving(tmp_path / "one", calls={"bound": port.dup(), "processes": 2}):
            with Receiving(tmp_path / "other", calls=other):
                assert answers(number)
            assert answers(number)
        port.close()
        assert wait_until(lambda: not answers(number), 5)


def test_each_process_has_its_share_of_the_associations(tmp_path: Path) -> None:
    with bound_port("127.0.0.1", 0) as port:
        calls = {"bound": port, "processes": 2, "max_associations": 4, "max_associations_each": 3}
        with Receiving(tmp_path, calls=calls) as receiving:
            ae = AE()
            ae.add_requested_context(VERIFICATION)
            first, second = (ae.associate("127.0.0.1", receiving.port) for _ in range(2))
            assert first.is_established and second.is_rejected
            first.release()


def test_until_somebody_listens_callers_are_refused_and_when_nobody_does_any_more(tmp_path: Path) -> None:
    with bound_port("127.0.0.1", free_port()) as port:
        number = port.getsockname()[1]

        def refused() -> bool:
            with socket.socket() as caller:
                return caller.connect_ex(("127.0.0.1", number)) == errno.ECONNREFUSED

        assert refused()
        for folder in ("first", "again"):
            with Receiving(tmp_path / folder, calls={"bound": port.dup(), "processes": 2}):
                assert answers(number)
            refuse(port)
            refuse(port)
            assert refused()


def test_another_program_that_listens_there_is_told_of(tmp_path: Path) -> None:
    with bound_port("127.0.0.1", free_port()) as port, bound_port(*port.getsockname()) as other:
        listen(other)
        with pytest.raises(OSError, match=r"cannot listen on 127.*Address already in use"):
            Receiving(tmp_path, calls={"bound": port}).__enter__()

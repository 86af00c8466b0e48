"""The yardstick for receiving: a pynetdicom receiver that answers success and keeps nothing.

`python -m bench.discard PORT` runs until it is killed. No receiver built on pynetdicom, in one process, can be faster.
"""

import sys

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt

from service.network.dimse import VERIFICATION, configure, send_at_once


def main(port: int) -> None:
    configure()
    ae = AE("DISCARD")
    ae.maximum_pdu_size = 0
    ae.add_supported_context(VERIFICATION, ALL_TRANSFER_SYNTAXES)
    handlers: list[evt.EventHandlerType] = [(evt.EVT_CONN_OPEN, send_at_once), (evt.EVT_C_STORE, lambda _event: 0x0000)]
    ae.start_server(("127.0.0.1", port), evt_handlers=handlers)


if __name__ == "__main__":
    main(int(sys.argv[1]))

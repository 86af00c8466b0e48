"""A modality that stops half-way through an image: `python half_an_image.py HOST PORT AE_TITLE`. Says "half" then."""

import struct
import sys
import time

from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage

_P_DATA_TF = b"\4\0"

host, port, ae_title = sys.argv[1:]
ae = AE("CT2")
ae.add_requested_context(CTImageStorage)
association = ae.associate(host, int(port), ae_title=ae_title)
assert association.is_established
association.dul.socket.socket.sendall(_P_DATA_TF + struct.pack(">L", 500_000) + bytes(1000))
print("half", flush=True)
time.sleep(600)

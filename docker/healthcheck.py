#!/usr/bin/env python3
"""Exit code 0: a CT sent now would be analysed; of a role that runs alone: it can do its work now."""

import os
import sys
import urllib.error
import urllib.request

names = ("THORACLE_MONITORING__PORT", "THORACLE_API__PROBES_PORT", "THORACLE_API__PORT")
port = next((port for name in names if (port := os.environ.get(name))), "8080")
try:
    urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=8).close()
except urllib.error.HTTPError as error:
    sys.exit(error.read().decode())  # it names what is missing
except OSError as error:
    sys.exit(str(error))

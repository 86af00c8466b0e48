"""Start the command line: `thoracle` or `python -m service`."""

import sys
from io import TextIOWrapper

from service.cli import app


def main() -> None:
    """Run the command line. A letter that the terminal's encoding does not have is escaped: no output fails for it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()


if __name__ == "__main__":
    main()

"""`thoracle version`."""

from service import __version__
from service.cli.options import out


def version() -> None:
    """Print the version."""
    out.print(f"thoracle {__version__} (research use only)")

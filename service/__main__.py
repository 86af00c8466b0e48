"""Start the command line: `thoracle` or `python -m service`."""

from service.cli import app


def main() -> None:
    app()


if __name__ == "__main__":
    main()

"""`thoracle send`."""

import re
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from service.cli.options import FAILURE, USAGE, err, failures, out
from service.network.peer import DicomNode
from service.network.send import StoreOutcome, Verdict, dicom_files
from service.network.send import send as store
from service.tls import TlsFiles

_ADDRESS = re.compile(r"(?P<aet>[^@\\]{1,16})@(?P<host>[^@:]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")


def send(
    source: Annotated[Path, typer.Argument(metavar="PATH", exists=True, help="A folder or file of DICOM.")],
    to: Annotated[str, typer.Option(metavar="AET@HOST:PORT", help="Where to send it.")],
    calling: Annotated[str, typer.Option("--from", metavar="AET", help="Our AE title.")] = "THORACLE",
    tls: Annotated[bool, typer.Option("--tls", help="By TLS, as each of the following options says too.")] = False,
    ca: Annotated[Path | None, typer.Option(help="Who must have signed its certificate (PEM).")] = None,
    certificate: Annotated[Path | None, typer.Option(help="Our certificate, where it wants one (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key, unless it is in the same file (PEM).")] = None,
) -> None:
    """Send DICOM files by C-STORE.

    Files go byte for byte where the receiver takes their transfer syntax. Where it does not, objects in RLE or Explicit
    VR Little Endian go in a plain transfer syntax that it takes: the same object with the same UIDs and pixels, and how
    many were is printed. No new object is ever made.

    Exit code 0: everything was stored; 1: something was not, each file is named; 2: usage.

    [bold]Example[/]

      thoracle send demo/ct --to THORACLE@127.0.0.1:11112 --from CT1

      thoracle send demo/ct --to PACS@pacs.example:2762 --ca hospital-ca.pem
    """
    address = _ADDRESS.fullmatch(to)
    if address is None or not 0 < int(address["port"]) < 65536:
        err.print(
            f"[red]--to[/]: {escape(repr(to))} is not of the form AET@HOST:PORT, for instance THORACLE@127.0.0.1:11112"
        )
        raise typer.Exit(USAGE)
    if key and not certificate:
        err.print("[red]--key[/]: a key needs its certificate (--certificate)")
        raise typer.Exit(USAGE)
    files = TlsFiles(certificate, key, ca) if tls or ca or certificate else None
    node = DicomNode(to, address["aet"], address["host"].strip("[]"), int(address["port"]), calling, files)
    with failures("Not sent"):
        images = dicom_files(source)
    if not images:
        err.print(f"There are no DICOM files in {escape(str(source))}.")
        raise typer.Exit(USAGE)
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with failures("Not sent"), Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("sending", total=len(images))
        outcomes = store(node, images, lambda _: progress.advance(task))
    _tell(outcomes, to)
    if any(o.verdict is not Verdict.STORED for o in outcomes):
        raise typer.Exit(FAILURE)


def _tell(outcomes: list[StoreOutcome], to: str) -> None:
    stored = sum(o.verdict is Verdict.STORED for o in outcomes)
    for outcome in outcomes:
        if outcome.verdict is not Verdict.STORED:
            err.print(f"[red]not stored[/] {escape(str(outcome.path))}: {escape(outcome.message)}")
    encodings = Counter(o.encoded_as for o in outcomes if o.encoded_as and o.verdict is Verdict.STORED)
    for syntax, count in encodings.items():
        err.print(f"sent in another transfer syntax, {escape(syntax)}: {count} of {len(outcomes)} files")
    out.print(f"{stored} of {len(outcomes)} files stored at {escape(to)}")

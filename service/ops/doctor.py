"""Checks that say in words what is wrong with an installation, before a CT is lost to it."""

import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes, RLELossless

from service.errors import Permanent, ThoracleError
from service.imaging.codestream import decodable
from service.ops.disk import why_not_writable
from service.ops.zone import check_zone
from service.tls import TlsFiles, ends, usable

_COMPRESSIONS = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, JPEG2000, JPEG2000Lossless, RLELossless)

_SOON = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Check:
    """One finding, in words."""

    name: str
    ok: bool
    message: str


def check_folder(folder: Path, min_free_gb: float) -> Iterator[Check]:
    """The data directory can be written, and its disk is above the watermark."""
    name = "data directory"
    existing = next(p for p in (folder, *folder.resolve().parents) if p.exists())
    if not existing.is_dir():
        yield Check(name, False, f"{existing} is not a directory; choose another data_dir")
        return
    if wrong := why_not_writable(existing):
        yield Check(name, False, f"cannot write to {existing}: {wrong}")
        return
    free_gb = shutil.disk_usage(existing).free / 1e9
    state = f"{folder} is writable, {free_gb:.1f} GB free (new studies are refused below {min_free_gb:g} GB)"
    yield Check(name, free_gb > min_free_gb, state)


def check_rights(patients: Iterable[Path], secrets: Iterable[Path]) -> Check:
    """Nobody but the service's user reads patient data; nobody but its user and group reads secrets.

    patients: files and folders of patient data; secrets: files of keys and passwords. What is not there is in order.
    """
    open_ones = [path for path in patients if _mode(path) & 0o077]
    told = [f"{path} can be read by others: chmod go-rwx {path}" for path in open_ones]
    told += [f"{path} can be read by others: chmod o-rwx {path}" for path in secrets if _mode(path) & 0o007]
    return Check("rights", not told, "; ".join(told) or "patient data and secrets are the service's own")


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def check_databases(damages: Sequence[str]) -> Check:
    """The database files are whole. damages: what is wrong with them, in words."""
    return Check("databases", not damages, "; ".join(damages) or "no file is damaged")


def check_time_zone(now: datetime) -> Check:
    """Known to this machine; right only beside the scanners' clocks. now: aware, in the zone of this process."""
    try:
        check_zone()
    except Permanent as error:
        return Check("time zone", False, str(error))
    here = f"it is {now.isoformat(' ', 'minutes')} ({now.tzname()})"
    message = f"{here}; acquisition times without an offset, and `between` of destinations, are read in this zone"
    if not now.utcoffset():
        message += "; if the scanners' clocks show another time, set TZ, for example TZ=Europe/Berlin"
    return Check("time zone", True, message)


def check_port(name: str, host: str, port: int, ours: bool) -> Check:
    """The port can be listened on, or our own running service does already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            return Check(name, False, f"port {port} needs root; choose one above 1023 or grant CAP_NET_BIND_SERVICE")
        except OSError as error:
            if ours:
                return Check(name, True, f"{host}:{port} is served by the running service")
            return Check(name, False, f"cannot listen on {host}:{port}: {error.strerror}; another program may use it")
    return Check(name, True, f"{host}:{port} is free")


def check_certificates(use: str, files: TlsFiles, server: bool, now: datetime) -> Check:
    """They can be used, and none ends within two weeks. server: of a port of ours; now: aware."""
    what = f"certificates, {use}"
    try:
        usable(files, server)
        until = ends(files)
    except Permanent as error:
        return Check(what, False, str(error))
    late = [f"{path} has ended on {end:%Y-%m-%d}" for path, end in until.items() if end <= now]
    soon = [f"{path} ends on {end:%Y-%m-%d}: renew it" for path, end in until.items() if now < end <= now + _SOON]
    if late or soon:
        return Check(what, not late, "; ".join([*late, *soon]))
    first = min(until.values(), default=None)
    return Check(what, True, f"usable until {first:%Y-%m-%d}" if first else "the authorities that this machine knows")


def check_decoders() -> Check:
    """Every compression that CTs come in has its decoder."""
    missing = [syntax.name for syntax in _COMPRESSIONS if not decodable(syntax)]
    message = f"no decoder for {', '.join(missing)}" if missing else "JPEG, JPEG-LS, JPEG 2000 and RLE can be read"
    return Check("decoders", not missing, message)


def check_models(load: Callable[[], Mapping[str, str]], needed: tuple[str, ...]) -> Iterator[Check]:
    """Every installed model loads with the digest it was installed with, and none that the pipeline needs is absent."""
    try:
        installed = load()
    except (ThoracleError, OSError) as error:
        yield Check("models", False, str(error))
        return
    for name in needed:
        if name in installed:
            yield Check(f"model {name}", True, installed[name])
        else:
            yield Check(f"model {name}", False, "not installed; the pipeline cannot run without it")
    for name in sorted(installed.keys() - set(needed)):
        yield Check(f"model {name}", True, installed[name])


def check_answer(what: str, where: str, ask: Callable[[], str | None]) -> Check:
    """Something elsewhere answers. `ask` returns None when it does, else what went wrong."""
    wrong = ask()
    return Check(what, wrong is None, f"{where} answers" if wrong is None else f"{where}: {wrong}")


def no_destination() -> Check:
    """A service without a destination analyses for nobody."""
    return Check("destinations", False, "none configured: results would stay here; add one under 'destinations'")

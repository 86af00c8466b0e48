"""Builds the checks of `thoracle doctor`, from the settings."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import yaml
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from service.composition import audit_messages, encryption, login
from service.composition import destinations as to
from service.composition.analysis import pipelines
from service.composition.audit_trail import in_words, verified
from service.composition.backends import backend, runs
from service.composition.certificates import OUR_PORTS, in_use
from service.composition.storage import (
    DATABASES,
    audit_key,
    bucket,
    damaged_files,
    database_wrong,
    has_database,
    host_locks,
)
from service.errors import Permanent, ThoracleError
from service.inference.onnx import OnnxBackend
from service.inference.providers import Runs
from service.network.peer import DicomNode
from service.network.tryout import try_queries
from service.ops import doctor as checks
from service.ops.processor import computes
from service.settings import AnyDestination, Caller, Settings, secret_files, tls_files
from service.store.engine import in_words as database_words
from service.store.names import RECEIVED, RESULTS
from service.store.presence import present

_SECRETS = ("password", "token", "master_key", "client_secret")
_SAME_BYTES = "results are the same bytes on this kind of processor only"


def doctor(settings: Settings, config: Path | None = None) -> Iterator[checks.Check]:
    """Everything that can be wrong with an installation, one check at a time. config: the file of the settings."""
    yield checks.Check(
        "configuration", True, f"readable; pipelines: {', '.join(one.name for one in settings.pipelines)}"
    )
    yield from checks.check_folder(settings.data_dir, settings.receiver.min_free_gb)
    yield checks.check_rights(_of_patients(settings), _secret(config, settings))
    yield checks.check_databases(list(damaged_files(settings)))
    yield from encryption.check(settings)
    yield from encryption.check_copies(settings)
    yield from _audit_trail(settings)
    yield from _audit_collector(settings)
    if (store := bucket(settings)) and settings.bucket:
        yield checks.check_answer("bucket", settings.bucket.url, store.why_not)
    if settings.database_url is not None:
        yield checks.check_answer("database", "PostgreSQL", partial(database_wrong, settings))
    yield checks.check_time_zone(datetime.now().astimezone())
    yield checks.Check("processor", True, f"{computes(settings.inference.provider)}; {_SAME_BYTES}")
    running = present(host_locks(settings), "serve")
    ours = settings.receiver
    if ours.open_to_others:
        yield checks.Check("receiver", False, ours.open_to_others)
    else:
        yield checks.check_port("receiver", ours.host, ours.port, running)
    yield from login.checks(settings)
    yield checks.check_port("api", settings.api.host, settings.api.port, running)
    for use, files in in_use(settings).items():
        yield checks.check_certificates(use, files, use in OUR_PORTS, datetime.now().astimezone())
    yield checks.check_decoders()
    try:
        needed = tuple(dict.fromkeys(role.name for one in pipelines(settings) for role in one.models))
    except Permanent as error:
        yield checks.Check("pipeline", False, str(error))
        return
    yield from checks.check_models(partial(_installed, settings), needed)
    if settings.inference.backend == "triton":
        yield checks.check_answer("back end", settings.inference.triton.url, partial(_backend_wrong, settings))
    if not settings.destinations:
        yield checks.no_destination()
    for name, destination in settings.destinations.items():
        yield from _destination(name, destination)
    for ae_title, caller in settings.receiver.callers.items():
        yield from _caller(settings, ae_title, caller)


def _of_patients(settings: Settings) -> Iterator[Path]:
    """Where others can enter the data directory: what is in it; else nothing of it is in their reach."""
    if settings.bucket and settings.database_url:
        return  # there is nothing of a patient in it
    with suppress(OSError):  # this user may not look: a check of the folder tells
        if settings.data_dir.stat().st_mode & 0o011:
            yield from (path for path in settings.data_dir.iterdir() if path.name in (RECEIVED, RESULTS, *DATABASES))


def _secret(config: Path | None, settings: Settings) -> Iterator[Path]:
    """Files of keys, of secrets, and the configuration if it holds any; without those that nobody can change here."""
    named = [files.key or files.certificate for files in in_use(settings).values()]
    found = [audit_key(settings), *filter(None, named), *secret_files()]
    if config and _holds_a_secret(config):
        found.append(config)
    for path in found:
        with suppress(OSError):
            if not os.statvfs(path).f_flag & os.ST_RDONLY and path.resolve().parent.stat().st_mode & 0o001:
                yield path


def _holds_a_secret(config: Path) -> bool:
    def secret(value: object, name: object = "") -> bool:
        if isinstance(value, Mapping):
            return bool(value.get("old_master_keys")) or any(secret(inner, key) for key, inner in value.items())
        if isinstance(value, list):
            return any(map(secret, value))
        return bool(value) and (
            name in ("password", "token", "master_key", "client_secret")
            or (name == "database_url" and _has_password(str(value)))
        )

    return secret(yaml.safe_load(config.read_text(encoding="utf-8")))


def _has_password(url: str) -> bool:
    try:
        parsed = make_url(url)
    except ArgumentError:
        return False
    return bool(parsed.password or "password" in parsed.query)


def _audit_trail(settings: Settings) -> Iterator[checks.Check]:
    """Whether it is what was written, where there is one; a database that is away has a check of its own."""
    try:
        if not has_database(settings):
            return
    except (Permanent, SQLAlchemyError, OSError):
        return
    try:
        found = verified(settings)
        yield checks.Check("audit trail", not found.broken, in_words(found))
    except (Permanent, OSError) as error:
        yield checks.Check("audit trail", False, str(error))
    except SQLAlchemyError as error:
        yield checks.Check("audit trail", False, f"it cannot be read now: {database_words(error)}")


def _audit_collector(settings: Settings) -> Iterator[checks.Check]:
    if collector := settings.audit.collector:
        where = f"{collector.host}:{collector.port}"
        yield checks.check_answer("audit collector", where, partial(audit_messages.why_not, settings))


def _destination(name: str, destination: AnyDestination) -> Iterator[checks.Check]:
    """Checks that it answers, and that it takes what it is to get."""
    what, where = f"destination {name}", to.address(name, destination)
    answers = checks.check_answer(what, where, to.check(name, destination))
    yield answers
    if answers.ok:
        for part, found in to.try_out(name, destination):
            yield checks.Check(f"{what}, {part}", found.ok, f"{where} {found.message}")


def _caller(settings: Settings, ae_title: str, caller: Caller) -> Iterator[checks.Check]:
    """A sender that is asked how many images it has."""
    if caller.host is not None and caller.port is not None:
        tls, ours = tls_files(caller.tls), settings.receiver.ae_title
        node = DicomNode(ae_title, ae_title, caller.host, caller.port, ours, tls)
        found = try_queries(node)
        yield checks.Check(f"sender {ae_title}", found.ok, f"{ae_title}@{caller.host}:{caller.port} {found.message}")


def _installed(settings: Settings) -> Mapping[str, str]:
    on = runs(settings) if settings.inference.backend == "onnx" else Runs()
    loaded = OnnxBackend(settings.inference.repository, settings.inference.threads, runs=on)
    return {
        spec.name: f"version {spec.version}, sha256 {spec.sha256[:12]}..."
        + (f", {spec.source}" if spec.source else "")
        + (f", on {spec.runs_on}" if spec.runs_on else "")
        for spec in loaded.specs
    }


def _backend_wrong(settings: Settings) -> str | None:
    try:
        backend(settings).check()
    except ThoracleError as error:
        return str(error)
    return None

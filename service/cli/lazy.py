"""Imports the module of a command when it is called: libraries take seconds to load, and few commands share them."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

COMMANDS = {
    "analyse": "Analyse a chest CT from disk, without a server.",
    "serve": "Run the service: receive CTs, analyse them, send the results to the PACS.",
    "send": "Send DICOM files by C-STORE.",
    "doctor": "Check configuration, ports, disk, models and destinations, and say in words what is wrong.",
    "conformance": "Print the DICOM conformance statement (PS3.2) of this version and this configuration, for the PACS "
    "administrator.",
    "migrate": "Bring the database to the schema of this version, and say so.",
    "backup": "Copy database, images, results, models of your own and the audit key, while the service works.",
    "restore": "Bring a backup back where there is no database yet, before the service starts.",
    "rewrap": "Wrap the keys of encrypted files with the new master key, while the service works.",
    "evaluate": "Measure how well segmentations agree with a truth.",
    "jobs": "What became of which study: list, show, retry, cancel, resend, reanalyse, review.",
    "users": "Local accounts of the HTTP API: add, list, remove, give other roles or another password.",
    "tokens": "API tokens of programs: add, list, revoke.",
    "pipelines": "List the analyses that are installed, and which of them run.",
    "models": "The models behind the results: list them, install better ones, try them, go back.",
    "audit": "Show who changed what, the latest first: models, and what operators did with jobs; refusals too.",
    "triton": "Run a Triton server on this machine, for trial: the installed models, on the CPU, without a container.",
    "parity": "Compare the installed models on two back ends, on one CT, before one takes the other's place.",
    "version": "Print the version.",
}
"""Each is in the module of its name, and begins its help with this sentence."""


class LazyGroup(TyperGroup):
    """Lists `COMMANDS` without importing any."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, sentence in COMMANDS.items():
            self.add_command(TyperCommand(name, help=sentence))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command itself in place of its entry in the list."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, None if name is None else loaded(name), rest


def loaded(name: str) -> Any:
    """The command of that name."""
    found = getattr(import_module(f"service.cli.{name}"), name)
    if isinstance(found, typer.Typer):
        return get_command(found)
    alone = typer.Typer(rich_markup_mode="rich")
    alone.command(name)(found)
    return get_command(alone)

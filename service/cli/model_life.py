"""`thoracle models canary, shadow, promote, rollback, withdraw, compare, history`: the served versions."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from service.cli.audit import DIGITS, audit_table
from service.cli.difference_table import difference_table
from service.cli.options import ConfigOption, failures, out, settings_from, who
from service.cli.progress import trying
from service.cli.tables import at_full_width, time_in_words
from service.composition.model_actions import existing_model_actions, open_model_actions
from service.rollout.model_actions import Changed
from service.settings import Settings
from service.store.shadows import LIMIT, Shadow

Name = Annotated[str, typer.Argument(help="The model, as `thoracle models list` names it.")]
Version = Annotated[str, typer.Argument(help="An installed version.")]
CtOption = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="A chest CT to try it on; default: `inference.trial_ct`."),
]


def add_to(models: typer.Typer) -> None:
    """Make these commands commands of `thoracle models`."""
    for command in (canary, shadow, promote, rollback, withdraw, compare, history):
        models.command()(command)


def canary(
    name: Name,
    version: Version,
    share: Annotated[float, typer.Option(help="Part of the studies, above 0 and up to 1.")],
    ct: CtOption = None,
    config: ConfigOption = None,
) -> None:
    """Let a version analyse a share of the studies. Its results are delivered.

    Which studies it gets follows from their Study Instance UID: the same ones when they are analysed again.
    It has to pass the same acceptance check as for `promote`.

    [bold]Example[/]

      thoracle models canary lobes 2 --share 0.1
    """
    settings = _with_ct(settings_from(config), ct)
    with failures():
        operator = open_model_actions(settings)
        with trying() as progress:
            changed = operator.canary(name, version, share, who(), progress)
        tell(name, changed)


def shadow(name: Name, version: Version, ct: CtOption = None, config: ConfigOption = None) -> None:
    """Let a version analyse every study beside the active one. Its results are shown to nobody.

    The results of the active version are delivered first. `compare` tells how both differ.

    [bold]Example[/]

      thoracle models shadow lobes 2
    """
    settings = _with_ct(settings_from(config), ct)
    with failures():
        operator = open_model_actions(settings)
        with trying() as progress:
            changed = operator.shadow(name, version, who(), progress)
        tell(name, changed)


def promote(
    name: Name,
    version: Annotated[str | None, typer.Argument(help="An installed version; default: the candidate.")] = None,
    ct: CtOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a version the active one, if it passes the acceptance check.

    The file must be unaltered, run, and say nothing absurd about a chest CT
    (all black, the same everywhere, not a number). Where Triton serves, its
    answers must be those of ONNX Runtime. How the version differs from the
    active one on that CT is printed. Otherwise the active version stays.

    [bold]Examples[/]

      thoracle models promote lobes 2

      thoracle models promote lobes --ct /media/cdrom
    """
    settings = _with_ct(settings_from(config), ct)
    with failures():
        operator = open_model_actions(settings)
        with trying() as progress:
            changed = operator.promote(name, version, who(), progress)
        tell(name, changed)


def rollback(name: Name, config: ConfigOption = None) -> None:
    """Go back to the version that was active before, at once.

    [bold]Example[/]

      thoracle models rollback lobes
    """
    settings = settings_from(config)
    with failures():
        tell(name, open_model_actions(settings).rollback(name, who()))


def withdraw(name: Name, config: ConfigOption = None) -> None:
    """End the trial of the candidate, as a canary and in the shadow. The active version stays.

    [bold]Example[/]

      thoracle models withdraw lobes
    """
    settings = settings_from(config)
    with failures():
        tell(name, open_model_actions(settings).withdraw(name, who()))


def compare(
    name: Name,
    version: Annotated[str | None, typer.Option(help="Only of this candidate; default: of all.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT, help="Only the latest studies.")] = LIMIT,
    config: ConfigOption = None,
) -> None:
    """Show what shadow mode found: study by study, and per label over all of one pipeline and one pair of versions.

    [bold]Example[/]

      thoracle models compare lobes --version 2
    """
    settings = settings_from(config)
    with failures():
        found = existing_model_actions(settings).compared(name, version, limit)
    if not found:
        out.print(f"No candidate of {escape(name)} has been in the shadow.")
        return
    studies = Table("job", "pipeline", "version", "state", "when", "worst Dice", "headline", "", box=None)
    for one in found:
        document = one["document"] or {}
        difference = document.get("difference")
        worst = f"{difference['worst_dice']:.4f}" if difference else ""
        headline = f"{_value(difference, 'reference')} → {_value(difference, 'candidate')}" if difference else ""
        studies.add_row(
            one["job_id"],
            document.get("pipeline", ""),
            one["version"],
            one["state"],
            time_in_words(one["at"]),
            worst,
            headline,
            one["error"],
        )
    at_full_width(studies)
    for group, differences in _by_group(name, found).items():
        out.print(_per_label(differences))
        changed = sum(_value(one, "reference") != _value(one, "candidate") for one in differences)
        out.print(f"{group}: {len(differences)} studies compared; the headline changes in {changed}.")


def history(
    name: Name,
    config: ConfigOption = None,
) -> None:
    """Show who changed what of a model, the latest first. `thoracle audit` shows the whole audit trail.

    [bold]Example[/]

      thoracle models history lobes
    """
    settings = settings_from(config)
    with failures():
        at_full_width(audit_table(existing_model_actions(settings).history(name)))


def tell(name: str, changed: Changed) -> None:
    """What is served of a model now, and how it differs."""
    if changed.difference:
        out.print(difference_table(changed.difference, "before", "after"))
    served = changed.served
    state = f"version {served.active} is active" if served.active else "no version is active"
    before = f", before it {served.previous}" if served.previous else ""
    candidate = served.candidate
    beside = f"; candidate {candidate.version}{trial(candidate.share, candidate.shadow)}" if candidate else ""
    out.print(f"[green]{escape(name)}[/]: {state}{before}{beside}. A running service takes it up with its next study.")


def trial(share: float | None, shadow: bool | None) -> str:
    """How much of the work a candidate gets; "" for a version that is none."""
    return (f", {share:.3g} of the studies" if share else "") + (", in the shadow" if shadow else "")


def _with_ct(settings: Settings, ct: Path | None) -> Settings:
    if ct is None:
        return settings
    return settings.model_copy(update={"inference": settings.inference.model_copy(update={"trial_ct": ct})})


def _by_group(name: str, found: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The differences by pipeline, active version and candidate, with digests: one number may have had two files."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        if one["state"] == Shadow.COMPARED:
            document = one["document"]
            pipeline = document.get("pipeline", "pipeline not recorded")
            before, after = (_version(name, document[of]) for of in ("reference", "candidate"))
            groups.setdefault(f"{pipeline}, {before} → {after}", []).append(document["difference"])
    return groups


def _version(name: str, models: Iterable[Mapping[str, str]]) -> str:
    return next((f"{one['version']} ({one['sha256'][:DIGITS]})" for one in models if one["name"] == name), "none")


def _per_label(differences: Sequence[Mapping[str, Any]]) -> Table:
    """Every label that any of the studies has, with the number of those that have it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("label")
    for heading in ("mean Dice", "worst Dice"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("studies", justify="right", no_wrap=True)
    for label in dict.fromkeys(label for one in differences for label in one["labels"]):
        dice = [one["labels"][label]["dice"] for one in differences if label in one["labels"]]
        table.add_row(label, f"{sum(dice) / len(dice):.4f}", f"{min(dice):.4f}", str(len(dice)))
    return table


def _value(difference: Mapping[str, Any], of: str) -> str:
    """The headline's value; documents of before schema 2.0 call it a score."""
    value = (difference.get("headline") or difference["score"])[of]
    return "–" if value is None else f"{value:g}"

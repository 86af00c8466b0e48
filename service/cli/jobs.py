"""`thoracle jobs`: what became of which study, and what an operator may do about it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from service import operators
from service.cli.options import FAILURE, ConfigOption, err, failures, out, settings_from, who
from service.cli.tables import at_full_width, time_in_words
from service.domain.job import IllegalTransition, Job, State
from service.domain.review import LONGEST_COMMENT, NoReview, Verdict
from service.domain.severity import MAX, category

_HELP = """What became of which study: list, show, retry, cancel, resend, reanalyse, review.

[bold]Example[/]

  thoracle jobs show 8de5317c801a1788 --config thoracle.yaml
"""

jobs = typer.Typer(
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode="rich",
)

JobId = Annotated[str, typer.Argument(metavar="JOB_ID", help="As `thoracle jobs list` shows it.")]


@jobs.command("list")
def list_(
    state: Annotated[State | None, typer.Option(help="Only jobs in this state.")] = None,
    study: Annotated[str | None, typer.Option(help="Only jobs of this Study Instance UID.")] = None,
    worklist: Annotated[bool, typer.Option("--worklist", help="In the order in which they are worked on.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    config: ConfigOption = None,
) -> None:
    """List jobs, newest first.

    [bold]Example[/]

      thoracle jobs list --state undelivered --config thoracle.yaml
    """
    with _possible():
        rows = operators.overview(settings_from(config)).list_jobs(
            state=state, study_uid=study, by_priority=worklist, limit=limit
        )
    table = Table("job", "state", "urgency", "created", "severity", "supersedes", "candidate", "error", box=None)
    for row in rows:
        table.add_row(
            row["job_id"],
            row["state"],
            row["urgency"],
            time_in_words(row["created_at"]),
            _severity(row["severity_total"]),
            _text(row["supersedes"]),
            ", ".join(f"{one['name']} {one['version']}" for one in row["models"] or () if one["candidate"]),
            row["error"],
        )
    if not rows:
        out.print("There are no such jobs.")
        return
    at_full_width(table)


@jobs.command()
def show(job_id: JobId, config: ConfigOption = None) -> None:
    """Show one job: where each object stands at each destination, and the journal of its study.

    [bold]Example[/]

      thoracle jobs show 8de5317c801a1788 --config thoracle.yaml
    """
    with _possible():
        job = operators.overview(settings_from(config)).job(job_id)
        if job is None:
            raise LookupError(f"there is no job {job_id}")
    out.print(f"[bold]job {job_id}[/] is {job['state']}, revision {job['revision']} of its study")
    for name in ("supersedes", "superseded_by", "error"):
        if job[name]:
            out.print(f"{name.replace('_', ' ')}: {escape(job[name])}")
    if job["purged_at"]:
        out.print(f"images and results were purged on {time_in_words(job['purged_at'])}: send the study again")
    for model in job["models"] or ():
        candidate = " [yellow]candidate[/]" if model["candidate"] else ""
        version = f"{escape(model['name'])} version {escape(model['version'])}"
        out.print(f"model {version}{candidate}, sha256 {escape(model['sha256'])}")
    for reason in job["reasons"]:
        out.print(f"[yellow]{escape(reason['reason'])}[/] {escape(reason['sentence'])} {escape(reason['detail'])}")
    for warning in job["warnings"]:
        out.print(f"[yellow]warning[/] {escape(warning)}")
    for said in job["reviews"]:
        score = "" if said["score"] is None else f", score {said['score']}"
        when = time_in_words(said["at"])
        out.print(f"[bold]{said['verdict']}[/] by {escape(said['by_whom'])} on {when}{score} {escape(said['comment'])}")
    if job["deliveries"]:
        at_full_width(_deliveries(job))
    at_full_width(_journal(job))


@jobs.command()
def retry(job_id: JobId, config: ConfigOption = None) -> None:
    """Try a failed or undelivered job again.

    A failed job is analysed again; of an undelivered one the stored bytes are sent again. The running service takes it
    up within seconds.

    [bold]Example[/]

      thoracle jobs retry 8de5317c801a1788 --config thoracle.yaml
    """
    _do(lambda: operators.job_operator(settings_from(config)).retry(job_id, who()))


@jobs.command()
def cancel(job_id: JobId, config: ConfigOption = None) -> None:
    """Analyse and send nothing more of a job. What has been sent stays in the PACS.

    An analysis that is running ends within seconds, and the worker goes on with the next job.

    [bold]Example[/]

      thoracle jobs cancel 8de5317c801a1788 --config thoracle.yaml
    """
    _do(lambda: operators.job_operator(settings_from(config)).cancel(job_id, who()))


@jobs.command()
def resend(
    job_id: JobId,
    to: Annotated[list[str] | None, typer.Option(help="Only to this destination; may be repeated.")] = None,
    config: ConfigOption = None,
) -> None:
    """Send the stored results once more, byte for byte: the PACS gets no duplicates, for their UIDs are the same.

    [bold]Example[/]

      thoracle jobs resend 8de5317c801a1788 --to archive --config thoracle.yaml
    """
    _do(lambda: operators.job_operator(settings_from(config)).resend(job_id, who(), to or ()))


@jobs.command()
def reanalyse(job_id: JobId, config: ConfigOption = None) -> None:
    """Analyse the study of a job again, with the models and the configuration of now.

    It becomes a new job, which supersedes the study's latest one; its results say which earlier ones they replace.

    [bold]Example[/]

      thoracle jobs reanalyse 8de5317c801a1788 --config thoracle.yaml
    """
    _do(lambda: operators.job_operator(settings_from(config)).reanalyse(job_id, who()))


@jobs.command()
def review(
    job_id: JobId,
    verdict: Annotated[Verdict, typer.Option(help="Does the result stand?")],
    score: Annotated[int | None, typer.Option(help="The radiologist's own severity, 0-25, if overridden.")] = None,
    comment: Annotated[
        str, typer.Option(help=f"Kept with the job, {LONGEST_COMMENT} characters at most; no patient data, please.")
    ] = "",
    config: ConfigOption = None,
) -> None:
    """Note what a radiologist says of a result. The latest word counts; /metrics tells how many were overridden.

    [bold]Example[/]

      thoracle jobs review 8de5317c801a1788 --verdict overridden --score 4 --config thoracle.yaml
    """
    _do(lambda: operators.job_operator(settings_from(config)).review(job_id, who(), verdict, score, comment))


def _do(action: Callable[[], Job]) -> None:
    with _possible():
        job = action()
        out.print(f"job {job.job_id} is {job.state}")


@contextmanager
def _possible() -> Iterator[None]:
    """What cannot be done with a job, and a failure, in one line each and exit code 1."""
    with failures():
        try:
            yield
        except (IllegalTransition, LookupError, NoReview) as error:
            err.print(f"[red]Not possible:[/] {escape(str(error))}")
            raise typer.Exit(FAILURE) from error


def _deliveries(job: Mapping[str, Any]) -> Table:
    kinds = {o["sop_instance_uid"]: o["kind"] for o in job["objects"]}
    table = Table("destination", "object", "state", "status", "attempts", "stored", "committed", "last error", box=None)
    for row in job["deliveries"]:
        status = "" if row["status"] is None else f"0x{row['status']:04X}"
        table.add_row(
            row["destination"],
            kinds.get(row["sop_instance_uid"], ""),
            row["state"],
            status,
            str(row["attempts"]),
            time_in_words(row["stored_at"]),
            time_in_words(row["committed_at"]),
            row["last_error"],
        )
    return table


def _journal(job: Mapping[str, Any]) -> Table:
    table = Table("when", "job", "step", "detail", box=None)
    for step in job["journal"]:
        table.add_row(time_in_words(step["at"]), _text(step["job_id"]), step["step"], step["detail"])
    return table


def _severity(total: int | None) -> str:
    return "" if total is None else f"{total}/{MAX} {category(total)}"


def _text(value: object) -> str:
    return "" if value is None else str(value)

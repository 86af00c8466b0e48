"""`thoracle jobs`: lists and shows jobs, and retries, cancels, resends, reanalyses and reviews them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from service.cli.job_view import show_job
from service.cli.options import FAILURE, ConfigOption, err, failures, out, settings_from, who
from service.cli.tables import at_full_width, time_in_words
from service.cli.worklist_view import show_worklist
from service.composition import job_actions
from service.domain.job import Job
from service.domain.job_state import IllegalTransition, State
from service.domain.job_words import headline_value
from service.domain.review import LONGEST_COMMENT, NoReview, Verdict

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
    queue: Annotated[bool, typer.Option("--queue", help="In the order in which they are worked on.")] = False,
    worklist: Annotated[
        bool, typer.Option("--worklist", help="Studies whose result nobody has reviewed, by urgency and rank.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    config: ConfigOption = None,
) -> None:
    """List jobs, newest first.

    A review of any current result of a study takes it off the worklist, if none of them ended later.

    [bold]Example[/]

      thoracle jobs list --state undelivered --config thoracle.yaml
    """
    if worklist:
        if state is not None or study is not None or queue:
            raise typer.BadParameter("--worklist goes with --limit only")
        with _possible():
            show_worklist(job_actions.worklist(settings_from(config)).entries(limit), datetime.now(UTC))
        return
    with _possible():
        rows = job_actions.overview(settings_from(config)).list_jobs(
            state=state, study_uid=study, by_priority=queue, limit=limit
        )
    table = Table(
        "job", "pipeline", "state", "urgency", "created", "result", "supersedes", "candidate", "error", box=None
    )
    for row in rows:
        table.add_row(
            row["job_id"],
            row["pipeline"] or "none",
            row["state"],
            row["urgency"],
            time_in_words(row["created_at"]),
            headline_value(row["headline"]),
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
    """Show one job: its study, its result, where each object stands at each destination, the journal of its study.

    The accession number is read from the stored files and printed here only; no log or API holds it.

    [bold]Example[/]

      thoracle jobs show 8de5317c801a1788 --config thoracle.yaml
    """
    settings = settings_from(config)
    with _possible():
        job = job_actions.overview(settings).job(job_id)
        if job is None:
            raise LookupError(f"there is no job {job_id}")
        accession = job_actions.accession_number(settings, job)
        compared = job_actions.compared_with(settings, job)
    show_job(job, accession, compared)


@jobs.command()
def retry(job_id: JobId, config: ConfigOption = None) -> None:
    """Try a failed or undelivered job again.

    A failed job is analysed again; of an undelivered one the stored bytes are sent again. The running service takes it
    up within seconds.

    [bold]Example[/]

      thoracle jobs retry 8de5317c801a1788 --config thoracle.yaml
    """
    _do(lambda: job_actions.open_job_actions(settings_from(config)).retry(job_id, who()))


@jobs.command()
def cancel(job_id: JobId, config: ConfigOption = None) -> None:
    """Analyse and send nothing more of a job. What has been sent stays in the PACS.

    An analysis that is running ends within seconds, one that hangs within about a minute, and the worker goes on with
    the next job.

    [bold]Example[/]

      thoracle jobs cancel 8de5317c801a1788 --config thoracle.yaml
    """
    _do(lambda: job_actions.open_job_actions(settings_from(config)).cancel(job_id, who()))


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
    _do(lambda: job_actions.open_job_actions(settings_from(config)).resend(job_id, who(), to or ()))


@jobs.command()
def reanalyse(job_id: JobId, config: ConfigOption = None) -> None:
    """Analyse the study of a job again, with the models and the configuration of now.

    It becomes a new job of the same pipeline, which supersedes that pipeline's latest one; its results say which
    earlier ones they replace. Of a study that no pipeline took, the rules choose again.

    [bold]Example[/]

      thoracle jobs reanalyse 8de5317c801a1788 --config thoracle.yaml
    """
    with _possible():
        job = job_actions.open_job_actions(settings_from(config)).reanalyse(job_id, who())
        if job.job_id == job_id:
            out.print(f"job {job_id} has no pipeline: the rules choose again as soon as the study has been quiet")
        else:
            out.print(f"job {job.job_id} is {job.state}")


@jobs.command()
def review(
    job_id: JobId,
    verdict: Annotated[Verdict, typer.Option(help="Does the result stand?")],
    score: Annotated[int | None, typer.Option(help="The radiologist's own value, if overridden.")] = None,
    comment: Annotated[
        str, typer.Option(help=f"Kept with the job, {LONGEST_COMMENT} characters at most; no patient data, please.")
    ] = "",
    config: ConfigOption = None,
) -> None:
    """Note what a radiologist says of a result. The latest word counts; /metrics tells how many were overridden.

    [bold]Example[/]

      thoracle jobs review 8de5317c801a1788 --verdict overridden --score 4 --config thoracle.yaml
    """
    _do(lambda: job_actions.open_job_actions(settings_from(config)).review(job_id, who(), verdict, score, comment))


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


def _text(value: object) -> str:
    return "" if value is None else str(value)

"""How `thoracle jobs show` prints a job."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from service.cli.options import out
from service.cli.tables import at_full_width, time_in_words
from service.domain.job_words import headline_in_words

Job = Mapping[str, Any]
"""A job as `store.overview` returns it."""


def show_job(job: Job, accession: str, compared: str = "") -> None:
    """Print the study, the result, the deliveries and the journal. accession: Accession Number, "" if not known.

    compared: with which earlier CT, "" if with none."""
    by = job["pipeline"] or "no pipeline"
    out.print(f"[bold]job {job['job_id']}[/] by {by} is {job['state']}, revision {job['revision']} of its study")
    _show_study(job, accession)
    _show_models(job)
    _show_result(job)
    if compared:
        out.print(f"compared with: {escape(compared)}")
    if job["deliveries"]:
        _show_next_attempts(job)
        at_full_width(_deliveries(job))
    at_full_width(_journal(job))


def _show_study(job: Job, accession: str) -> None:
    out.print(f"study: {escape(job['study_uid'])}")
    lines = {
        "accession number": accession,
        "analysed series": job["series_uid"],
        "urgency": job["urgency"],
        "supersedes": job["supersedes"],
        "superseded by": job["superseded_by"],
        "error": job["error"],
    }
    for name, value in lines.items():
        if value:
            out.print(f"{name}: {escape(str(value))}")
    if job["purged_at"]:
        out.print(f"images and results were purged on {time_in_words(job['purged_at'])}: send the study again")


def _show_models(job: Job) -> None:
    for model in job["models"] or ():
        candidate = " [yellow]candidate[/]" if model["candidate"] else ""
        version = f"{escape(model['name'])} version {escape(model['version'])}"
        out.print(f"model {version}{candidate}, sha256 {escape(model['sha256'])}")


def _show_result(job: Job) -> None:
    if job["headline"]:
        out.print(escape(headline_in_words(job["headline"])))
    for reason in job["reasons"]:
        out.print(f"[yellow]{escape(reason['reason'])}[/] {escape(reason['sentence'])} {escape(reason['detail'])}")
    for flag, warning in zip(job["flags"], job["warnings"], strict=True):
        out.print(f"[yellow]warning {escape(flag)}[/] {escape(warning)}")
    for said in job["reviews"]:
        score = "" if said["score"] is None else f", score {said['score']}"
        when = time_in_words(said["at"])
        out.print(f"[bold]{said['verdict']}[/] by {escape(said['by_whom'])} on {when}{score} {escape(said['comment'])}")


def _show_next_attempts(job: Job) -> None:
    waiting = [row for row in job["deliveries"] if row["next_attempt_at"]]
    for destination in sorted({row["destination"] for row in waiting}):
        earliest = min(row["next_attempt_at"] for row in waiting if row["destination"] == destination)
        out.print(f"next attempt at {escape(destination)}: {time_in_words(earliest)}")


def _deliveries(job: Job) -> Table:
    kinds = {o["sop_instance_uid"]: o["kind"] for o in job["objects"]}
    headings = ("destination", "object", "state", "status", "attempts", "next", "stored", "confirmed", "last error")
    table = Table(*headings, box=None)
    for row in job["deliveries"]:
        table.add_row(
            row["destination"],
            kinds.get(row["sop_instance_uid"], ""),
            row["words"],
            "" if row["status"] is None else f"0x{row['status']:04X}",
            str(row["attempts"]),
            *(time_in_words(row[name]) for name in ("next_attempt_at", "stored_at", "committed_at")),
            row["last_error"],
        )
    return table


def _journal(job: Job) -> Table:
    table = Table("when", "job", "step", "detail", box=None)
    for step in job["journal"]:
        table.add_row(time_in_words(step["at"]), step["job_id"] or "", step["words"], step["detail"])
    return table

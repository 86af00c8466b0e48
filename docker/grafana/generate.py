"""Writes the dashboards from what is said here: `python docker/grafana/generate.py [--check]`."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"

_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 3
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_RATE = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph. queries: each with its legend. unit: as Grafana names it. kind: of Grafana's panels.

    limits: where lines are drawn; those of the alert where there is one. axis: from, to.
    """

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    kind: str = "timeseries"
    help: str = ""
    limits: Sequence[float] = ()
    axis: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One file. since: the time it shows at first. refresh: how often.

    of_results: whether a pipeline, one of its numbers, a limit of it and scanners can be chosen.
    """

    name: str
    title: str
    since: str
    refresh: str
    panels: Sequence[Panel]
    of_results: bool = False


def quantile(share: float, histogram: str, window: str, by: str = "le", only: str = "") -> str:
    return f"histogram_quantile({share}, sum by ({by}) (rate({histogram}_bucket{only}[{window}])))"


OPERATIONS = Dashboard(
    "operations",
    "Thoracle: operations",
    "now-24h",
    "1m",
    (
        Panel("Living processes", "short", [("max by (role) (thoracle_processes)", "{{role}}")]),
        Panel(
            "Back end answers its canary",
            "bool_yes_no",
            [("min(thoracle_backend_up)", "back end"), ("min(thoracle_database_up)", "database")],
        ),
        Panel(
            "Failed canaries per hour",
            "short",
            [("sum(increase(thoracle_backend_canary_failures_total[1h]))", "failed")],
            limits=[3],
        ),
        Panel(
            "Received images per second",
            "ops",
            [(f"sum by (modality, status) (rate(thoracle_instances_total[{_RATE}]))", "{{modality}} {{status}}")],
            help="0x0000 is success, 0xA700 is refused: the disk is nearly full, or too many studies wait.",
        ),
        Panel(
            "C-STORE, request to answer",
            "s",
            [
                (quantile(0.5, "thoracle_receive_seconds", _RATE), "median"),
                (quantile(0.99, "thoracle_receive_seconds", _RATE), "99 of 100"),
            ],
        ),
        Panel(
            "Associations per minute",
            "short",
            [(f"60 * sum by (outcome) (rate(thoracle_associations_total[{_RATE}]))", "{{outcome}}")],
        ),
        Panel(
            "What the receiver refuses",
            "short",
            [("max by (cause) (thoracle_receiver_refusing)", "{{cause}}")],
            help="Because of the disk or of the queue: 0 nothing, 1 new studies, 2 everything.",
            axis=(0, 2),
        ),
        Panel(
            "Jobs",
            "short",
            [
                (
                    'max by (state) (thoracle_jobs{state=~"created|queued|running|delivering|failed|undelivered"})',
                    "{{state}}",
                )
            ],
        ),
        Panel(
            "Oldest job",
            "s",
            [
                ("max(thoracle_oldest_waiting_job_seconds)", "waits for its analysis"),
                ("max(thoracle_oldest_running_job_seconds)", "is analysed"),
            ],
            help="Above half an hour: too few workers, or an analysis that hangs.",
            limits=[1800],
        ),
        Panel(
            "Studies per hour",
            "short",
            [("sum by (pipeline, outcome) (increase(thoracle_studies_total[1h]))", "{{pipeline}} {{outcome}}")],
        ),
        Panel(
            "Seconds per stage, mean",
            "s",
            [
                (
                    "sum by (stage) (rate(thoracle_stage_seconds_sum[1h]))"
                    " / sum by (stage) (rate(thoracle_stage_seconds_count[1h]))",
                    "{{stage}}",
                )
            ],
        ),
        Panel(
            "Objects sent per hour",
            "short",
            [
                (
                    "sum by (destination, outcome) (increase(thoracle_deliveries_total[1h]))",
                    "{{destination}}: {{outcome}}",
                )
            ],
            help="built: not taken, will be sent again. withheld: refers to what is not there. "
            "warned: stored with a warning. unconfirmed: stored, and then not kept or not answered for.",
        ),
        Panel(
            "Objects on their way",
            "short",
            [("max by (destination) (thoracle_undelivered_objects)", "{{destination}}")],
        ),
        Panel(
            "Oldest object on its way",
            "s",
            [("max by (destination) (thoracle_oldest_undelivered_object_seconds)", "{{destination}}")],
            limits=[21600],
        ),
        Panel(
            "Since the last delivery",
            "s",
            [("time() - max by (destination) (thoracle_last_delivered_timestamp_seconds > 0)", "{{destination}}")],
            help="Long in a quiet night, too. It is an alarm where something has waited for an hour.",
            limits=[21600],
        ),
        Panel(
            "Spool's disk",
            "bytes",
            [
                ("thoracle_spool_free_bytes", "free {{instance}}"),
                ("thoracle_spool_total_bytes", "size {{instance}}"),
                ("thoracle_spool_warning_bytes", "warning {{instance}}"),
            ],
            help="Nothing here where received images are in a bucket.",
        ),
        Panel(
            "Purged per day",
            "bytes",
            [("sum(increase(thoracle_purged_bytes_total[1d]))", "received files")],
        ),
        Panel(
            "Studies purged and overdue",
            "short",
            [
                ("sum(increase(thoracle_purged_studies_total[1d]))", "purged per day"),
                ("max(thoracle_purge_overdue_studies)", "overdue"),
            ],
        ),
    ),
)

_WHICH = 'pipeline="$pipeline", measure="$measure", scanner=~"$scanner"'
_CHOSEN = f"{{{_WHICH}}}"
_UP_TO = f'{{{_WHICH}, le="$limit"}}'
_OF_PIPELINE = '{pipeline="$pipeline", scanner=~"$scanner"}'
_VALUES = "thoracle_result_value"
_LATENCY = "thoracle_acquisition_to_delivery_seconds"

CLINICAL = Dashboard(
    "clinical",
    "Thoracle: clinical",
    "now-30d",
    "15m",
    (
        Panel(
            "From acquisition to the PACS",
            "s",
            [(quantile(0.5, _LATENCY, "1d"), "median"), (quantile(0.9, _LATENCY, "1d"), "9 of 10")],
            help="From the CT's acquisition to the delivery of all its results. The line is at half an hour.",
            limits=[1800],
        ),
        Panel(
            "Within half an hour",
            "percentunit",
            [(f'sum(rate({_LATENCY}_bucket{{le="1800.0"}}[1d])) / sum(rate({_LATENCY}_count[1d]))', "of all studies")],
            axis=(0, 1),
        ),
        Panel(
            "Delivered studies per day",
            "short",
            [
                (f"sum(increase({_LATENCY}_count[1d]))", "with a latency"),
                ("sum(increase(thoracle_acquired_ahead_total[1d]))", "scanner's clock ahead: without"),
            ],
            help="The latency of studies whose scanner's clock or time zone is ahead is not known.",
        ),
        Panel(
            "$measure of 30 days, scanners as chosen",
            "short",
            [(f"sum by (le) (increase({_VALUES}_bucket{_CHOSEN}[30d]))", "{{le}}")],
            kind="bargauge",
            help="How many studies have at most this value, and more than the one before.",
        ),
        Panel(
            "$measure, median of 7 days",
            "short",
            [(quantile(0.5, _VALUES, "7d", "le, scanner", _CHOSEN), "{{scanner}}")],
            help="For the CT severity score: moderate from 6, severe from 15.",
        ),
        Panel(
            "$measure above $limit, share of 7 days",
            "percentunit",
            [
                (
                    f"1 - sum by (scanner) (increase({_VALUES}_bucket{_UP_TO}[7d]))"
                    f" / sum by (scanner) (increase({_VALUES}_count{_CHOSEN}[7d]))",
                    "{{scanner}}",
                )
            ],
            help="Studies with a higher value. For the CT severity score, above 14 is severe.",
            axis=(0, 1),
        ),
        Panel(
            "$measure, mean of 7 days",
            "short",
            [(f"thoracle:result_mean:7d{_CHOSEN}", "{{scanner}}")],
        ),
        Panel(
            "Drift against 90 days",
            "short",
            [
                (f"thoracle:result_drift:90d{_CHOSEN}", "{{scanner}}"),
                (f"min(thoracle:result_drift_limit:90d{_CHOSEN})", "limit"),
                (f"-min(thoracle:result_drift_limit:90d{_CHOSEN})", "limit below"),
            ],
            help="Mean of 7 days less that of 90 days. The alert is beyond the limit, with 20 studies or more; a "
            "number that is not the severity score has a limit for each scanner, of which the least is shown. "
            "It says little before Prometheus has watched for some weeks.",
        ),
        Panel(
            "Drift against 30 days",
            "short",
            [(f"thoracle:result_drift:30d{_CHOSEN}", "{{scanner}}")],
            help="Mean of 7 days less that of 30 days.",
        ),
        Panel(
            "Studies analysed per day",
            "short",
            [
                (
                    f"max by (scanner) (sum by (measure, scanner) (increase({_VALUES}_count{_OF_PIPELINE}[1d])))",
                    "{{scanner}}",
                )
            ],
            help="By the chosen pipeline. A number that some results lack is not what is counted.",
        ),
        Panel(
            "Studies per day by model",
            "short",
            [
                ("sum by (model, version) (increase(thoracle_studies_by_model_total[1d]))", "{{model}} {{version}}"),
                ("sum(increase(thoracle_candidate_failures_total[1d]))", "a candidate failed, the active one did it"),
            ],
        ),
        Panel(
            "Results overridden by radiologists",
            "percentunit",
            [("thoracle:override_share:30d", "of those reviewed in 30 days")],
            help="The alert is above the line, with 10 reviews or more.",
            limits=[0.2],
            axis=(0, 1),
        ),
        Panel(
            "Reviewed results of 30 days",
            "short",
            [("max by (verdict) (thoracle_reviews)", "{{verdict}}")],
            kind="stat",
        ),
        Panel(
            "Refused studies, share of a day",
            "percentunit",
            [("thoracle:refused_share:1d", "{{pipeline}} {{reason}}")],
            help="Of each pipeline's studies. The alert is above the line, with 10 studies a day or more.",
            limits=[0.2],
            axis=(0, 1),
        ),
        Panel(
            "Refused studies of 30 days by scanner",
            "short",
            [
                (
                    f"sum by (reason, scanner) (increase(thoracle_refused_studies_total{_OF_PIPELINE}[30d]))",
                    "{{reason}} {{scanner}}",
                )
            ],
            help="By the chosen pipeline.",
            kind="bargauge",
        ),
        Panel(
            "Series by reason, all there are",
            "short",
            [('max by (reason) (thoracle_series{reason!="ANALYSED"})', "{{reason}}")],
            kind="bargauge",
        ),
        Panel(
            "Candidates in the shadow, per day",
            "short",
            [
                (
                    "sum by (pipeline, model, version, outcome) (increase(thoracle_shadow_studies_total[1d]))",
                    "{{pipeline}}, {{model}} {{version}}: {{outcome}}",
                )
            ],
            help="Studies that a candidate analysed beside the active version.",
        ),
        Panel(
            "Change of the headline in the shadow, mean of 7 days",
            "short",
            [
                (
                    "sum by (pipeline, model, version) (increase(thoracle_shadow_headline_change_sum[7d]))"
                    " / sum by (pipeline, model, version) (increase(thoracle_shadow_headline_change_count[7d]))",
                    "{{pipeline}}, {{model}} {{version}}",
                )
            ],
            help="Up or down, against the headline of the active version.",
        ),
    ),
    of_results=True,
)

DASHBOARDS = (OPERATIONS, CLINICAL)


def document(dashboard: Dashboard) -> dict[str, Any]:
    """As Grafana reads it."""
    return {
        "uid": f"thoracle-{dashboard.name}",
        "title": dashboard.title,
        "tags": ["thoracle"],
        "schemaVersion": 39,
        "refresh": dashboard.refresh,
        "time": {"from": dashboard.since, "to": "now"},
        "templating": {"list": list(_variables(dashboard))},
        "panels": [_panel(number, panel) for number, panel in enumerate(dashboard.panels)],
    }


def _variables(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    if dashboard.of_results:
        every = {"multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}
        of = 'pipeline="$pipeline", measure="$measure"'
        yield _variable("pipeline", "Pipeline", f"label_values({_VALUES}_count, pipeline)")
        yield _variable("measure", "Number", f'label_values({_VALUES}_count{{pipeline="$pipeline"}}, measure)')
        limits = _variable("limit", "Limit", f"label_values({_VALUES}_bucket{{{of}}}, le)")
        yield limits | {"sort": 3, "current": {"text": "14.0", "value": "14.0"}}  # sorted as numbers
        yield _variable("scanner", "Scanner", f"label_values({_VALUES}_count, scanner)") | every


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    """What can be chosen is asked of Prometheus whenever the dashboard is opened or its time changes."""
    return {"name": name, "label": label, "type": "query", "datasource": _SOURCE, "query": query, "refresh": 2}


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, _COLUMNS)
    cumulative = " by (le) " in panel.queries[0][0] and panel.kind == "bargauge"
    return {
        "id": number + 1,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": _SOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": {} if panel.kind == "timeseries" else {"reduceOptions": {"calcs": ["lastNotNull"]}},
        "targets": [
            {
                "refId": chr(ord("A") + n),
                "datasource": _SOURCE,
                "expr": expr,
                "legendFormat": legend,
                "instant": panel.kind != "timeseries",
                "range": panel.kind == "timeseries",
                "format": "heatmap" if cumulative else "time_series",
            }
            for n, (expr, legend) in enumerate(panel.queries)
        ],
    }


def _field(panel: Panel) -> dict[str, Any]:
    """Its unit, axis and lines. Right is what lies below limits above 0, and above limits below 0."""
    below = [limit for limit in panel.limits if limit < 0]
    steps: list[dict[str, Any]] = [{"color": "red" if below else "transparent", "value": None}]
    steps += [{"color": "transparent" if limit < 0 else "red", "value": limit} for limit in panel.limits]
    axis = {"min": panel.axis[0], "max": panel.axis[1]} if panel.axis else {}
    if not panel.limits:
        return {"unit": panel.unit, **axis}
    lines = {"thresholds": {"mode": "absolute", "steps": steps}, "custom": {"thresholdsStyle": {"mode": "dashed"}}}
    return {"unit": panel.unit, **axis, **lines}


def text(dashboard: Dashboard) -> str:
    """Of the file."""
    return json.dumps(document(dashboard), indent=2) + "\n"


if __name__ == "__main__":
    stale = [
        d.name
        for d in DASHBOARDS
        if "--check" in sys.argv and (FOLDER / f"{d.name}.json").read_text(encoding="utf-8") != text(d)
    ]
    if "--check" in sys.argv:
        sys.exit(f"out of date: {', '.join(stale)}; run docker/grafana/generate.py" if stale else 0)
    for one in DASHBOARDS:
        (FOLDER / f"{one.name}.json").write_text(text(one), encoding="utf-8")

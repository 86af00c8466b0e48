"""Declares the Prometheus metrics. Labels are roles, reasons, destinations and kinds of scanners, never patient data.

Metrics are counted in files (`counting_files`). What the database knows the API reads at scrape time (`gauges`).
"""

import logging
from collections.abc import Container, Iterable, Mapping
from functools import cached_property
from itertools import product
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

from service.domain.delivery_state import Delivered
from service.imaging.difference import Difference
from service.ops.counting_files import counted_here, samples

log = logging.getLogger(__name__)

_REFUSING = "thoracle_receiver_refusing"
SERVING_TROUBLE = "thoracle_serving_trouble"
_STAGE_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
_RESULT_BUCKETS = (0, 0.5, 1, 2, 3, 5, 8, 11, 14, 17, 20, 25, 30, 50, 75, 100, 200, 500, 1000, 2000, 5000, 10000)
"""For scores, percentages and volumes in mL alike."""

_SCORE_CHANGE_BUCKETS = (0, 1, 2, 3, 5, 10)
_DICE_BUCKETS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1)
_WARNED = "warned"
_OUTCOMES = (
    *(Delivered.STORED, Delivered.BUILT, Delivered.REJECTED, Delivered.WITHHELD, Delivered.UNCONFIRMED),
    _WARNED,
)
_CAUSES = ("time", "memory", "unwanted")
_SCANNERS = 20
_OTHER_SCANNER = "other"
_NO_PIPELINE = "none"  # an empty label is none to Prometheus
_LATENCY_BUCKETS = (60, 120, 180, 300, 600, 1200, 1800, 3600, 7200, 21600, 86400, 259200)


class Metrics:
    """The observer that receiver and worker report to.

    destinations: whose counters begin at 0, so that the first failure is a rise from it.
    """

    def __init__(self, destinations: Iterable[str] = ()) -> None:
        # In no registry: `exposition` reads the files.
        self._associations = Counter(
            "thoracle_associations", "DICOM associations by outcome", ["outcome"], registry=None
        )
        self._instances = Counter(
            "thoracle_instances",
            "Received instances by modality and C-STORE status",
            ["modality", "status"],
            registry=None,
        )
        self._turned_away = Gauge(
            _REFUSING,
            "What the receiver refuses, by cause: 0 nothing, 1 new studies, 2 everything",
            ["cause"],
            registry=None,
            multiprocess_mode="livemax",
        )
        self._receive_seconds = Histogram(
            "thoracle_receive_seconds", "Seconds from C-STORE request to answer", registry=None
        )
        self._stage_seconds = Histogram(
            "thoracle_stage_seconds", "Seconds per stage of a study", ["stage"], buckets=_STAGE_BUCKETS, registry=None
        )
        self._studies = Counter(
            "thoracle_studies", "Finished jobs by outcome and pipeline", ["outcome", "pipeline"], registry=None
        )
        self._stopped = Counter(
            "thoracle_stopped_analyses", "Analyses that were ended before their end, by cause", ["cause"], registry=None
        )
        for cause in _CAUSES:
            self._stopped.labels(cause)
        self._deliveries = Counter(
            "thoracle_deliveries",
            "Delivered objects by destination and outcome",
            ["destination", "outcome"],
            registry=None,
        )
        for destination, outcome in product(destinations, _OUTCOMES):
            self._deliveries.labels(destination, outcome)
        self._latency = Histogram(
            "thoracle_acquisition_to_delivery_seconds",
            "Seconds from the CT's acquisition to the delivery of all its results",
            buckets=_LATENCY_BUCKETS,
            registry=None,
        )
        self._ahead = Counter(
            "thoracle_acquired_ahead",
            "Studies without a latency: their scanners say that they were acquired after their results were delivered",
            registry=None,
        )
        self._ahead_said = False
        self._canary_failures = Counter(
            "thoracle_backend_canary_failures", "Canaries that the back end did not answer rightly", registry=None
        )
        self._results = Histogram(
            "thoracle_result_value",
            "Numbers of results that pipelines have watched, by pipeline, measure and kind of scanner",
            ["pipeline", "measure", "scanner"],
            buckets=_RESULT_BUCKETS,
            registry=None,
        )
        self._refused = Counter(
            "thoracle_refused_studies",
            "Studies of which nothing could be analysed, by pipeline, each of their reasons and kind of scanner",
            ["pipeline", "reason", "scanner"],
            registry=None,
        )
        self._comparisons = Counter(
            "thoracle_comparisons",
            "Results by what became of their comparison with an earlier CT",
            ["pipeline", "outcome"],
            registry=None,
        )
        self._scanners = _counted_scanners()
        self._by_model = Counter(
            "thoracle_studies_by_model",
            "Studies by model and version that analysed them, or was asked before a refusal",
            ["model", "version"],
            registry=None,
        )
        self._candidate_failures = Counter(
            "thoracle_candidate_failures",
            "Studies that the active version analysed because a candidate failed",
            registry=None,
        )
        self._shadows = Counter(
            "thoracle_shadow_studies",
            "Studies that candidates analysed in the shadow, by outcome",
            ["pipeline", "model", "version", "outcome"],
            registry=None,
        )
        self._shadow_headline_change = Histogram(
            "thoracle_shadow_headline_change",
            "How far the headline of a candidate is from that of the active version, up or down",
            ["pipeline", "model", "version"],
            buckets=_SCORE_CHANGE_BUCKETS,
            registry=None,
        )
        self._shadow_worst_dice = Histogram(
            "thoracle_shadow_worst_dice",
            "Least Dice of all labels between a candidate and the active version",
            ["pipeline", "model", "version"],
            buckets=_DICE_BUCKETS,
            registry=None,
        )
        self._serving_trouble = Gauge(
            SERVING_TROUBLE,
            "Whether a worker could not take up a model that is to be served",
            registry=None,
            multiprocess_mode="livemax",
        )
        self._purged = Counter("thoracle_purged_studies", "Studies whose files were given up", registry=None)
        self._purged_bytes = Counter("thoracle_purged_bytes", "Bytes of received files given up", registry=None)

    @cached_property
    def _backend_up(self) -> Gauge:
        """Made by the first canary: it begins at 0, and a process that asks no back end must not say so."""
        return Gauge(
            "thoracle_backend_up",
            "Whether the back end answered the latest canary rightly, the worst of all workers",
            registry=None,
            multiprocess_mode="livemin",
        )

    def association(self, outcome: str) -> None:
        self._associations.labels(outcome).inc()

    def instance(self, modality: str, status: int, seconds: float) -> None:
        self._instances.labels(modality, f"0x{status:04X}").inc()
        self._receive_seconds.observe(seconds)

    def turned_away(self, cause: str, what: int) -> None:
        self._turned_away.labels(cause).set(what)

    def study(self, outcome: str, pipeline: str, timings_s: Mapping[str, float]) -> None:
        self._studies.labels(outcome, pipeline or _NO_PIPELINE).inc()
        for stage, seconds in timings_s.items():
            self._stage_seconds.labels(stage).observe(seconds)

    def stopped(self, cause: str) -> None:
        self._stopped.labels(cause).inc()

    def measured(self, pipeline: str, measure: str, scanner: str, value: float) -> None:
        self._results.labels(pipeline, measure, self._scanner(scanner)).observe(value)

    def refused(self, pipeline: str, scanner: str, reasons: Iterable[str]) -> None:
        label = self._scanner(scanner)
        for reason in reasons:
            self._refused.labels(pipeline or _NO_PIPELINE, reason, label).inc()

    def compared(self, pipeline: str, outcome: str) -> None:
        self._comparisons.labels(pipeline, outcome).inc()

    def _scanner(self, name: str) -> str:
        """The label: the first ones that came have their own, so that no sender can make up more and more."""
        if name not in self._scanners and len(self._scanners) >= _SCANNERS:
            return _OTHER_SCANNER
        self._scanners.add(name)
        return name

    def analysed_by(self, model: str, version: str) -> None:
        self._by_model.labels(model, version).inc()

    def candidate_failed(self) -> None:
        self._candidate_failures.inc()

    def shadow(self, pipeline: str, model: str, version: str, outcome: str, difference: Difference | None) -> None:
        self._shadows.labels(pipeline, model, version, outcome).inc()
        if difference is not None:
            self._shadow_worst_dice.labels(pipeline, model, version).observe(difference.worst_dice)
            if difference.headline_change is not None:
                self._shadow_headline_change.labels(pipeline, model, version).observe(abs(difference.headline_change))

    def serving(self, ok: bool) -> None:
        self._serving_trouble.set(int(not ok))

    def delivery(self, destination: str, outcome: str) -> None:
        self._deliveries.labels(destination, outcome).inc()

    def delivered(self, latency_s: float) -> None:
        if latency_s >= 0:
            self._latency.observe(latency_s)
            return
        self._ahead.inc()
        if not self._ahead_said:
            self._ahead_said = True
            log.warning(
                "a CT was acquired %.0f minutes after its results came: its scanner's clock is ahead, or its time zone "
                "is not the one that `thoracle doctor` shows. Such studies have no latency and are counted apart",
                -latency_s / 60,
            )

    def canary(self, ok: bool) -> None:
        self._backend_up.set(int(ok))
        if not ok:
            self._canary_failures.inc()

    def purged(self, size_bytes: int) -> None:
        self._purged.inc()
        self._purged_bytes.inc(size_bytes)


def _counted_scanners() -> set[str]:
    """Those that have been counted where this process counts."""
    return {one.labels["scanner"] for one in counted_here() if "scanner" in one.labels} - {_OTHER_SCANNER}


def turned_away(folder: Path, living: Container[str]) -> dict[str, int]:
    """What receivers refuse, by cause; empty if none lives."""
    return {one.labels["cause"]: int(one.value) for one in samples(folder, living) if one.name == _REFUSING}


def serving_trouble(folder: Path, living: Container[str]) -> bool:
    """Whether a worker could not take up a model that is to be served."""
    return any(one.name == SERVING_TROUBLE and one.value for one in samples(folder, living))

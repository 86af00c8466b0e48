"""From a study's last slice to the last object that the PACS has committed to, in a service that has done it before.

The quiet period, in which the service waits for more slices, is taken off: a site chooses it.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from time import time

from helpers.dicom_peers import Orthanc, free_port, wait_until
from helpers.running_service import AET, RunningService
from pydicom import dcmread
from pydicom.uid import generate_uid

from bench.cases import DEMO, Case, cases
from bench.figures import Figure, Target
from service.network.peer import DicomNode
from service.network.send import Verdict, send
from service.pipelines import BUILT_IN

PART = "service"

QUIET_S = 2.0
_RUNS = {
    "covid-severity": (("covid-severity",), Target(10)),
    "all pipelines": (tuple(pipeline.name for pipeline in BUILT_IN), Target(30)),
}


def measure(work: Path, repeat: int) -> Iterator[Figure]:
    """RuntimeError when a study is not delivered."""
    case = cases()[0]
    for name, (pipelines, target) in _RUNS.items():
        folder = work / name.replace(" ", "-")
        port = free_port()
        with ExitStack() as running:
            pacs = running.enter_context(Orthanc(folder / "pacs", DicomModalities={"ai": [AET, "127.0.0.1", port]}))
            service = RunningService(
                folder / "service",
                (Orthanc.AET, pacs.port),
                pipelines=list(pipelines),
                receiver={"port": port, "quiet_s": QUIET_S},
            )
            running.enter_context(service)
            _delivered(service, DEMO, folder / "first", len(pipelines))
            seconds = [
                _delivered(service, case.folder, folder / str(number), len(pipelines)) for number in range(repeat)
            ]
        yield Figure(PART, f"{case.name}, {name}: last slice to committed", "s", tuple(seconds), _judged(case, target))


def _judged(case: Case, target: Target) -> Target | None:
    return target if case.judged else None


def _delivered(service: RunningService, source: Path, folder: Path, jobs: int) -> float:
    """Seconds from the last slice to the last commitment, without the quiet period, of a copy with UIDs of its own."""
    files = copied(source, folder)
    node = DicomNode("service", AET, "127.0.0.1", service.port, "CT")
    if any(sent.verdict is not Verdict.STORED for sent in send(node, files)):
        raise RuntimeError(f"{source} was not stored")
    received = time()
    study = str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)

    def delivered() -> list[str]:
        """When each job of the study was, once all are."""
        own = [job for job in service.jobs() if job["study_uid"] == study]
        if any(job["state"] in ("refused", "failed", "undelivered") for job in own):
            raise RuntimeError(f"a job of {source} ended otherwise: {own}")
        at = [job["delivered_at"] for job in own if job["state"] == "delivered"]
        return at if len(at) == jobs else []

    ended = wait_until(delivered, 600)
    return max(datetime.fromisoformat(at).timestamp() for at in ended) - received - QUIET_S


def copied(source: Path, folder: Path) -> list[Path]:
    """The same images as another study."""
    folder.mkdir(parents=True)
    study, series = generate_uid(), generate_uid()
    files = []
    for number, path in enumerate(sorted(source.glob("*.dcm"))):
        dataset = dcmread(path)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        files.append(folder / f"{number:04}.dcm")
        dataset.save_as(files[-1], enforce_file_format=False)
    return files

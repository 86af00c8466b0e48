"""The path of a study: a damaged series is refused for itself and harms no other."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from helpers import evidence_samples, make_ct, tiny_models
from helpers.lungs_as_lobe import LungsAsLobe
from pydicom import dcmread
from pydicom.uid import MRImageStorage

from service.analysis.analyst import Analyst, Outcome, Run
from service.analysis.open_study import Studies
from service.analysis.watched_run import Unwanted
from service.domain.analysis import Analysis, ModelUse
from service.domain.ct import CT
from service.domain.eligibility import Limits
from service.domain.job import Job
from service.domain.job_state import State
from service.domain.model_spec import ModelSpec
from service.domain.ports import Backend, Progress
from service.errors import Permanent, Reason, Refusal, Rejected, Transient
from service.evidence.encode import encode
from service.pipelines.lung_density.pipeline import LungDensity
from service.store.dicom_folder import scan
from service.store.records import SeriesRecord

pytestmark = pytest.mark.slow

RUN = Run(evidence_samples.ANALYSED_AT)


class NoBackend:
    """`LungsAsLobe` asks nothing of it."""


def without_transfer_syntax(path: Path) -> None:
    dataset = dcmread(path)
    del dataset.file_meta.TransferSyntaxUID
    dataset.save_as(path, implicit_vr=False, little_endian=True)


def unknown_vr_of_series_number(path: Path) -> None:
    content = path.read_bytes()
    assert b"\x20\x00\x11\x00IS" in content
    path.write_bytes(content.replace(b"\x20\x00\x11\x00IS", b"\x20\x00\x11\x00ZZ", 1))


def overwritten_since_it_was_found(path: Path) -> None:
    path.write_bytes(b"no DICOM any more")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (without_transfer_syntax, Reason.CODEC),
        (unknown_vr_of_series_number, Reason.UNREADABLE),
        (overwritten_since_it_was_found, Reason.UNREADABLE),
    ],
)
def test_a_damaged_series_never_harms_a_good_one(
    tmp_path: Path, damage: Callable[[Path], None], reason: Reason
) -> None:
    good = make_ct.make(slices=88).datasets
    study_uid = good[0].StudyInstanceUID
    bad = make_ct.make(slices=84, attributes={"StudyInstanceUID": study_uid, "SeriesInstanceUID": "1.2.3"}).datasets
    make_ct.write(good, tmp_path / "good")
    paths = make_ct.write(bad, tmp_path / "bad")
    series = scan([tmp_path])
    damage(paths[0])
    outcome = Analyst(LungsAsLobe(), NoBackend(), Limits(), "0.1.0").analyse(
        series, lambda _stage, _part: None, {}, RUN
    )
    assert outcome.series_uid == good[0].SeriesInstanceUID and outcome.evidence
    assert {refusal.reason for refusal in outcome.refusals["1.2.3"]} == {reason}


@pytest.mark.parametrize("mixed_itself", [False, True])
def test_a_study_of_two_patients_is_refused_whole(tmp_path: Path, mixed_itself: bool) -> None:
    first = make_ct.make(slices=88).datasets
    study = {"StudyInstanceUID": first[0].StudyInstanceUID, "SeriesInstanceUID": "1.2.3"}
    second = make_ct.make(slices=84, attributes=study).datasets
    for dataset in second[1 if mixed_itself else 0 :]:
        dataset.PatientID = "PHANTOM2"
    for name, datasets in (("first", first), ("second", second)):
        make_ct.write(datasets, tmp_path / name)
    outcome = Analyst(LungsAsLobe(), NoBackend(), Limits(), "0.1.0").analyse(scan([tmp_path]), lambda *_: None, {}, RUN)
    assert outcome.series_uid is None and len(outcome.refusals) == 2
    for refusals in outcome.refusals.values():
        assert [refusal.reason for refusal in refusals] == [Reason.MIXED_PATIENTS]


class Refusing(LungsAsLobe):
    """Asks the lungs' network, and refuses what it answers where the CT is no finer than `than_mm`."""

    name = "refusing"

    def __init__(self, than_mm: float) -> None:
        self._than_mm = than_mm

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        backend.infer("lungs", {})
        if ct.volume.spacing[0] < self._than_mm:
            return super().analyse(ct, backend, progress)
        raise Rejected(Refusal(Reason.NO_LUNG, ""))


class Lungs:
    """A back end with two models, of which one is asked."""

    def infer(self, name: str, inputs: object) -> dict[str, object]:
        return {}

    def spec(self, name: str) -> ModelSpec:
        return replace(tiny_models.LUNGS, name=name, version="7", sha256="a" * 64)


def test_a_refusal_after_a_model_was_asked_names_it_and_one_before_names_none(tmp_path: Path) -> None:
    def outcome_of(folder: Path, than_mm: float = 0.0) -> Outcome:
        analyst = Analyst(Refusing(than_mm), Lungs(), Limits(), "0.1.0")  # type: ignore[arg-type]
        return analyst.analyse(scan([folder]), lambda _stage, _part: None, {}, RUN)

    make_ct.write(make_ct.make(slices=44, spacing_mm=5.0).datasets, tmp_path / "whole")
    make_ct.write(make_ct.make(slices=44, spacing_mm=5.0).datasets[:5], tmp_path / "short")
    by_network, by_headers = outcome_of(tmp_path / "whole"), outcome_of(tmp_path / "short")
    assert by_network.models == by_network.asked == (ModelUse("lungs", "7", "a" * 64),)
    assert by_network.document["models"] == [{"name": "lungs", "version": "7", "sha256": "a" * 64}]
    assert by_headers.analysis is None and by_headers.models == ()
    analysed = outcome_of(tmp_path / "whole", than_mm=9.0)
    assert analysed.analysis is not None and analysed.asked == ()
    assert analysed.models == analysed.analysis.models


class Density(LungsAsLobe):
    """Prefers the series that lung-density prefers."""

    name = "density"

    def preference(self, kernels: tuple[str, ...], thickness_mm: float | None) -> int:
        return LungDensity().preference(kernels, thickness_mm)


@pytest.mark.parametrize(("pipeline", "chosen"), [(LungsAsLobe(), "1.2.3"), (Density(), "1.2.4")])
def test_of_two_reconstructions_the_one_that_the_pipeline_prefers_is_analysed(
    tmp_path: Path, pipeline: LungsAsLobe, chosen: str
) -> None:
    for number, kernel in (("3", "Br64d"), ("4", "Br36d")):
        own = {"SeriesInstanceUID": f"1.2.{number}", "SeriesNumber": number, "ConvolutionKernel": kernel}
        study = {"StudyInstanceUID": "1.2", "FrameOfReferenceUID": "1.2.9"}
        made = make_ct.make(
            slices=112, spacing_mm=2.0, rows=64, columns=64, pixel_mm=(6.0, 6.0), attributes=study | own
        )
        make_ct.write(made.datasets, tmp_path / number)
    outcome = Analyst(pipeline, NoBackend(), Limits(), "0.1.0").analyse(scan([tmp_path]), lambda *_: None, {}, RUN)
    assert outcome.series_uid == chosen


class Failing(LungsAsLobe):
    """Raises `error` for the series that is tried first, here the thicker one of `two_series`."""

    name = "failing"

    def __init__(self, error: Exception) -> None:
        self._errors = [error]

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        progress("lungs", 0.0)
        if self._errors:
            raise self._errors.pop()
        return super().analyse(ct, backend, progress)


def two_series(folder: Path) -> tuple[str, str]:
    """Series Instance UIDs of the one that is tried first and of the other."""
    first = make_ct.make(slices=74, spacing_mm=3.0).datasets
    attributes = {"StudyInstanceUID": first[0].StudyInstanceUID, "SeriesInstanceUID": "1.2.3"}
    make_ct.write(first, folder / "first")
    make_ct.write(make_ct.make(slices=44, spacing_mm=5.0, attributes=attributes).datasets, folder / "second")
    return str(first[0].SeriesInstanceUID), "1.2.3"


@pytest.mark.parametrize("error", [ZeroDivisionError("Doe^Jane"), OSError("Doe^Jane"), AssertionError("Doe^Jane")])
def test_a_series_that_fails_is_refused_by_name_and_the_next_one_is_analysed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    bad, good = two_series(tmp_path)
    outcome = Analyst(Failing(error), NoBackend(), Limits(), "0.1.0").analyse(
        scan([tmp_path]), lambda *_: None, {}, RUN
    )
    assert outcome.series_uid == good and outcome.evidence
    name = type(error).__name__
    assert outcome.refusals == {bad: (Refusal(Reason.FAILED, f"{name} in the step 'lungs'; the log tells where."),)}
    assert f"a series failed in the step lungs: {name}" in caplog.text and "test_analyst.py" in caplog.text
    assert "Doe" not in caplog.text + str(outcome.document)


def test_evidence_that_cannot_be_made_costs_one_series_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = two_series(tmp_path)

    def encode_but_the_first(ct: CT, *rest: object) -> object:
        return encode(ct, *rest) if ct.series_uid == good else 1 / 0  # type: ignore[arg-type]

    monkeypatch.setattr("service.analysis.analyst.encode", encode_but_the_first)
    outcome = Analyst(LungsAsLobe(), NoBackend(), Limits(), "0.1.0").analyse(scan([tmp_path]), lambda *_: None, {}, RUN)
    assert outcome.series_uid == good and outcome.evidence
    assert outcome.refusals[bad][0].detail == "ZeroDivisionError in the step 'encode'; the log tells where."


def test_where_all_series_fail_the_notice_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = two_series(tmp_path)
    monkeypatch.setattr("service.analysis.analyst.encode", lambda *_: 1 / 0)
    analyst = Analyst(LungsAsLobe(), NoBackend(), Limits(), "0.1.0", notice=True)
    outcome = analyst.analyse(scan([tmp_path]), lambda *_: None, {}, RUN)
    assert outcome.analysis is None
    assert {uid: [r.reason for r in rs] for uid, rs in outcome.refusals.items()} == {
        uid: [Reason.FAILED] for uid in series
    }
    assert [one.kind for one in outcome.evidence][:1] == ["notice"]


@pytest.mark.parametrize(
    "error", [Transient("away"), Permanent("wrong"), MemoryError(), OSError(28, "No space left on device")]
)
def test_what_is_no_fault_of_a_series_passes_through(tmp_path: Path, error: Exception) -> None:
    two_series(tmp_path)
    with pytest.raises(type(error)):
        Analyst(Failing(error), NoBackend(), Limits(), "0.1.0").analyse(scan([tmp_path]), lambda *_: None, {}, RUN)


def test_a_file_that_is_gone_passes_through(tmp_path: Path) -> None:
    two_series(tmp_path)
    series = scan([tmp_path])
    series[0].paths[3].unlink()
    with pytest.raises(FileNotFoundError):
        Analyst(LungsAsLobe(), NoBackend(), Limits(), "0.1.0").analyse(series, lambda *_: None, {}, RUN)


def test_a_study_without_ct_is_refused_by_name_with_a_notice(tmp_path: Path) -> None:
    """Its headers may be as odd as they like: the SOP class is known from their C-STORE."""
    [mr] = make_ct.make(slices=1, attributes={"Modality": "MR", "SeriesInstanceUID": "1.2"}).datasets
    mr.SOPClassUID = mr.file_meta.MediaStorageSOPClassUID = MRImageStorage
    (path,) = make_ct.write([mr], tmp_path)
    record = SeriesRecord(
        "1.2", "MR", "A", "B", datetime.now(UTC), (), ("NOT_CT: MR Image Storage, modality MR",), ("x",)
    )

    class Known:
        def series_of(self, study_uid: str) -> list[SeriesRecord]:
            return [record, replace(record, series_uid="1.3", other_images=())]

        @contextmanager
        def local(self, relatives: Sequence[str]) -> Iterator[list[Path]]:
            yield [path for _ in relatives]

    job = Job("j", str(mr.StudyInstanceUID), 1, None, State.RUNNING, datetime.now(UTC), None)
    with Studies(Known(), Known(), lambda study, series: {}).open(job) as study:  # type: ignore[arg-type]
        outcome = Analyst(LungsAsLobe(), NoBackend(), Limits(), "0.1.0", notice=True).analyse(*study, RUN)
    assert outcome.refusals == {"1.2": (Refusal(Reason.NOT_CT, "MR Image Storage, modality MR."),)}
    report = dcmread(BytesIO(outcome.evidence[0].content))
    assert report.StudyInstanceUID == mr.StudyInstanceUID and report.PatientID == mr.PatientID
    assert b"this study holds none" in outcome.evidence[0].content


def test_whoever_ends_an_analysis_is_asked_before_each_slice_and_each_object(tmp_path: Path) -> None:
    """A late slice and a cancel end it there; what is silent for long would end with its whole process."""
    make_ct.write(make_ct.make(slices=44, spacing_mm=5.0).datasets, tmp_path)
    asked: Counter[str] = Counter()
    analyst = Analyst(LungsAsLobe(), NoBackend(), Limits(), "0.1.0")
    outcome = analyst.analyse(scan([tmp_path]), lambda stage, _part: asked.update([stage]), {}, RUN)
    assert asked["check"] > 44 and asked["read"] > 44, "headers are read, then slices are decoded"
    assert asked["encode"] > len(outcome.evidence) + 4, "four pictures and notes of the report too"


@pytest.mark.parametrize("stage", ["check", "read", "encode"])
def test_each_of_these_steps_can_be_ended_in_its_middle(tmp_path: Path, stage: str) -> None:
    make_ct.write(make_ct.make(slices=44, spacing_mm=5.0).datasets, tmp_path)
    asked: Counter[str] = Counter()

    def end_at_the_fifth(now: str, _part: float) -> None:
        asked.update([now])
        if now == stage and asked[now] >= 5:
            raise Unwanted("superseded")

    with pytest.raises(Unwanted):
        Analyst(LungsAsLobe(), NoBackend(), Limits(), "0.1.0").analyse(scan([tmp_path]), end_at_the_fifth, {}, RUN)
    assert asked[stage] == 5 or (stage == "encode" and asked[stage] == 6), "each of both threads that encode hears once"


def test_a_better_series_that_was_refused_is_named_with_the_result(tmp_path: Path) -> None:
    """Otherwise the archive shows a result of a thick series, and nobody knows that the thin one has gaps."""
    _, good = two_series(tmp_path)
    gaps = {"StudyInstanceUID": dcmread(tmp_path / "first" / "0000.dcm").StudyInstanceUID, "SeriesInstanceUID": "1.2.4"}
    thin = make_ct.make(slices=150, spacing_mm=1.5, attributes=gaps | {"SeriesNumber": 9}).datasets
    make_ct.write([*thin[:70], *thin[72:]], tmp_path / "gaps")
    analyst = Analyst(Failing(ZeroDivisionError()), NoBackend(), Limits(), "0.1.0")
    outcome = analyst.analyse(scan([tmp_path]), lambda *_: None, {}, RUN)
    number = int(dcmread(tmp_path / "first" / "0000.dcm").SeriesNumber)
    assert outcome.series_uid == good and outcome.document["warnings"][-2:] == [
        f"A better series was not analysed: FAILED, series {number}.",
        "A better series was not analysed: MISSING_SLICES, series 9.",
    ]
    root = next(e for e in outcome.evidence if e.kind == "study")
    assert b"A better series was not analysed: FAILED" in root.content


def test_a_worse_series_that_was_refused_is_no_warning(tmp_path: Path) -> None:
    first, _ = two_series(tmp_path)
    (tmp_path / "second" / "0020.dcm").unlink()
    analyst = Analyst(LungsAsLobe(), NoBackend(), Limits(), "0.1.0")
    outcome = analyst.analyse(scan([tmp_path]), lambda *_: None, {}, RUN)
    assert (outcome.series_uid, len(outcome.refusals)) == (first, 1)
    assert not any("better" in sentence for sentence in outcome.document["warnings"])

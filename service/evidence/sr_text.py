"""The result as a Basic Text SR: the numbers of the report in sentences, for viewers that show no TID 1500."""

from collections.abc import Iterator

from highdicom import sr

from service.domain import codes
from service.domain.comparison_words import sentences
from service.domain.report import ReportBody
from service.evidence.case import Case
from service.evidence.context import TEXT
from service.evidence.equipment import contributing_equipment
from service.evidence.replaced import replaces
from service.evidence.series import written_at
from service.evidence.sr_basic_text import BasicTextSR, section, text


def text_sr(case: Case, body: ReportBody) -> BasicTextSR:
    """Headline, regions, warnings and models, each as one sentence."""
    content = [
        text(codes.SUMMARY, " ".join(_summary(case))),
        section(codes.FINDINGS_HEADING, [text(codes.FINDING, line) for line in body.findings]),
        *_compared(case),
        *(text(codes.QUALITY, line) for line in (*replaces("report", case), *case.warnings)),
        *(text(codes.ALGORITHM, line) for line in _models(case)),
    ]
    models = contributing_equipment(case.analysis)
    return BasicTextSR(case, TEXT, codes.PDF_TITLE, content, models)


def _compared(case: Case) -> Iterator[sr.ContentItem]:
    """The comparison with an earlier CT under a heading of its own; nothing where there is none."""
    if (found := case.analysis.comparison) is not None:
        yield section(codes.COMPARISON, [text(codes.FINDING, line) for line in sentences(found)])


def _summary(case: Case) -> Iterator[str]:
    yield case.analysis.headline.sentence
    if case.doubts:
        yield f"Result doubtful: {', '.join(case.doubts)}."
    yield from case.analysis.summary
    yield f"Analysed {written_at(case):%Y-%m-%d %H:%M} by Thoracle {case.context.software_version}, not verified."


def _models(case: Case) -> Iterator[str]:
    for model in case.analysis.models:
        yield f"{model.name}, version {model.version}, SHA-256 {model.sha256}"

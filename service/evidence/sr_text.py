"""The result as a Basic Text SR: the numbers of the report in sentences, for viewers that show no TID 1500."""

from collections.abc import Iterator

from service.domain import codes, severity
from service.domain.findings import LEFT_LOBES, RIGHT_LOBES, Finding, Lobe, Region
from service.errors import doubts
from service.evidence.case import Case
from service.evidence.context import TEXT
from service.evidence.equipment import contributing_equipment
from service.evidence.replaced import replaces
from service.evidence.report import words
from service.evidence.series import written_at
from service.evidence.sr_basic_text import BasicTextSR, section, text

_SIDES = {"right": "Right lung", "left": "Left lung", "total": "Both lungs"}


def text_sr(case: Case) -> BasicTextSR:
    """Headline, regions, warnings and models, each as one sentence."""
    content = [
        text(codes.SUMMARY, " ".join(_summary(case))),
        section(codes.FINDINGS_HEADING, [text(codes.FINDING, line) for line in _regions(case)]),
        *(text(codes.QUALITY, line) for line in (*replaces("report", case), *case.warnings)),
        *(text(codes.ALGORITHM, line) for line in _models(case)),
    ]
    models = contributing_equipment(case.analysis)
    return BasicTextSR(case, TEXT, codes.PDF_TITLE, content, models)


def _summary(case: Case) -> Iterator[str]:
    analysis = case.analysis
    yield _headline(case)
    if reasons := doubts(case.flags):
        yield f"Score doubtful: {', '.join(reasons)}."
    yield f"{codes.NOT_TOLD_APART.meaning}."
    yield f"{_SIDES['total']}: {_region(analysis.lungs['total'])}."
    for finding in Finding:
        volume = words.millilitres(analysis.findings[finding].volume_ml)
        yield f"{codes.FINDINGS[finding].label} {volume} mL."
    yield f"Analysed {written_at(case):%Y-%m-%d %H:%M} by Thoracle {case.context.software_version}, not verified."


def _headline(case: Case) -> str:
    score = case.analysis.severity
    if score.total is None:
        return f"{severity.NAME}: no total score, a lobe was not found."
    said = f"{severity.NAME}: {score.total} of {severity.MAX}, involvement: {score.involvement}"
    published = "no noise floor" if score.floor is None else f"{score.without_floor.total} without noise floor"
    return f"{said}; {published}."


def _regions(case: Case) -> Iterator[str]:
    for side, lobes in (("right", RIGHT_LOBES), ("left", LEFT_LOBES)):
        for lobe in lobes:
            yield f"{codes.LOBES[lobe].label}: {_region(case.analysis.lobes[lobe])}, {_score(case, lobe)}."
        yield f"{_SIDES[side]}: {_region(case.analysis.lungs[side])}."


def _region(region: Region) -> str:
    volume, opacity = words.millilitres(region.volume_ml), words.millilitres(region.opacity_ml)
    return f"{volume} mL, of it opacity {opacity} mL ({words.percent(region.opacity_percent)} %)"


def _score(case: Case, lobe: Lobe) -> str:
    score = case.analysis.severity.lobe_scores[lobe.name]
    return "not found" if score is None else f"score {score}"


def _models(case: Case) -> Iterator[str]:
    for model in case.analysis.models:
        yield f"{model.name}, version {model.version}, SHA-256 {model.sha256}"

"""Sections 10.5 to 10.8: templates, codes of our own, grayscale and private classes."""

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType

from pydicom import Dataset
from pydicom.sr.coding import Code

import service.pipelines
from service.conformance.rows import Table, table
from service.conformance.sample_results import FIRST, sample_results
from service.domain import codes, flags
from service.domain.analysis import LabelMapKind
from service.pipelines import PIPELINES

TEMPLATES = {
    "1500": "Measurement Report",
    "1411": "Volumetric ROI Measurements and Qualitative Evaluations",
    "1501": "Measurement and Qualitative Evaluation Group",
    "4019": "Algorithm Identification",
    "1204": "Language of Content Item and Descendants",
    "1004": "Device Observer Identifying Attributes",
}
"""Templates of PS3.16 that our SRs follow; the first three are named in the documents."""


SCHEMES = {
    "DCM": "DICOM",
    "SCT": "SNOMED CT",
    "LN": "LOINC",
    "UMLS": "UMLS",
    "UCUM": "UCUM",
    "RFC5646": "RFC 5646 (languages)",
}
"""Coding schemes of others, by their designators."""


def terminology() -> list[str | Table]:
    """Templates and codes."""
    return [
        "### 10.5 Templates (PS3.16)",
        templates(),
        "Language is English. The notice and the report as text follow no template.",
        f"### 10.6 Private codes, scheme {codes.PRIVATE}",
        f"All other codes are of {', '.join(SCHEMES.values())}. A pipeline with a classifier may also have `P-...`, "
        "the probability of each of its classes.",
        private_codes(),
        "### 10.7 Grayscale image consistency\n\nNot applicable: nothing is displayed.",
        "### 10.8 Private SOP classes and transfer syntaxes\n\nNone are created. Those of others are stored as "
        "received.",
    ]


def templates() -> Table:
    """Template and the objects that name it."""
    named = {
        kind: set(_named(dataset))
        for kind, dataset in sample_results()[FIRST][1].items()
        if "ContentSequence" in dataset
    }
    rows = [
        (
            number,
            f"TID {number}",
            title,
            ", ".join(kind for kind, found in named.items() if number in found) or "as content",
        )
        for number, title in TEMPLATES.items()
    ]
    return table("templates", ("Template", "Title", "Named in"), rows)


def _named(item: Dataset) -> Iterator[str]:
    """Identifiers of the templates of an item and of those below it."""
    for template in item.get("ContentTemplateSequence", []):
        yield str(template.TemplateIdentifier)
    for child in item.get("ContentSequence", []):
        yield from _named(child)


def private_codes() -> Table:
    """Every code of our own: of all pipelines and their warnings."""
    used: dict[Code, list[str]] = {}
    for module, code in _codes():
        used.setdefault(code, []).append(module)
    for flag in flags.OF_COMPARISON:
        used.setdefault(flag.concept, []).append(_WHOSE[codes.__name__])
    for pipeline in PIPELINES:
        for flag in pipeline.flags:
            used.setdefault(flag.concept, []).append(pipeline.name)
    rows = [
        (code.value, f"`{code.value}`", code.meaning, ", ".join(dict.fromkeys(users)))
        for code, users in sorted(used.items(), key=lambda each: each[0].value)
    ]
    return table("private-codes", ("Code", "Meaning", "Of"), rows)


_WHOSE = {codes.__name__: "every result", "shared": "several pipelines"}


def _codes() -> Iterator[tuple[str, Code]]:
    """Private codes that modules define, and whose they are."""
    for module in _modules():
        name = module.__name__.removeprefix("service.pipelines.")
        whose = name if module is codes else name.split(".")[0].replace("_", "-")
        for found in list(vars(module).values()):
            for code in _within(found):
                if code.scheme_designator == codes.PRIVATE:
                    yield _WHOSE.get(whose, whose), code


def _within(found: object) -> Iterator[Code]:
    if isinstance(found, Code):
        yield found
    elif isinstance(found, LabelMapKind):
        yield found.concept
    elif isinstance(found, Mapping):
        yield from (one for one in found.values() if isinstance(one, Code))


def _modules() -> Iterator[ModuleType]:
    """Where codes are defined: the domain, and all of each pipeline's package."""
    yield codes
    yield flags
    for one in walk_packages(service.pipelines.__path__, "service.pipelines."):
        yield import_module(one.name)
    others = {type(one).__module__.split(".")[0] for one in PIPELINES} - {"service"}
    yield from [module for name, module in sorted(sys.modules.items()) if name.split(".")[0] in others]

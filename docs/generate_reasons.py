"""Writes docs/reference/reject-reasons.md from the codes themselves: `python docs/generate_reasons.py [--check]`."""

import sys
from collections.abc import Iterable
from pathlib import Path

from service.domain.dicom_file import MOST_HEADER_BYTES
from service.domain.eligibility import Limits
from service.domain.flags import OF_COMPARISON, Flag
from service.domain.pipeline import Pipeline
from service.errors import Reason
from service.imaging.lung_edges import MAX_EDGE_PART, MAX_END_PART, MAX_LEFT_OUT_PART
from service.pipelines import BUILT_IN
from service.store.dicom_folder import MOST_HEADERS_BYTES

PAGE = Path(__file__).parent / "reference" / "reject-reasons.md"

LIMITS = Limits()

# The rule behind each code, with the limits in force unless a pipeline has its own.
RULES = {
    Reason.NOT_CT: "SOP class is CT, Enhanced CT or Legacy Converted Enhanced CT.",
    Reason.LOCALIZER: "No image has LOCALIZER, SCOUT, TOPOGRAM or SCANOGRAM in Image Type. One is enough to refuse.",
    Reason.DERIVED: (
        "Image Type does not begin with DERIVED and names no projection, average, reformatting, virtual non-contrast "
        "or monoenergetic image; a multi-frame CT is no projection by its Volumetric Properties either."
    ),
    Reason.DOSE_REPORT: "No dose report SOP class; no DOSE or SCREEN SAVE in Image Type.",
    Reason.NOT_AXIAL: f"Cosine between slice normal and the patient's long axis ≥ {LIMITS.min_axial_cosine}.",
    Reason.TILT: f"Gantry/Detector Tilt, and angle between slice normal and stack, ≤ {LIMITS.max_tilt_degrees:.0f}°.",
    Reason.MIXED_ORIENTATION: "One Image Orientation (Patient), but for rounding.",
    Reason.MIXED_GEOMETRY: (
        "One Rows, Columns, Pixel Spacing, Slice Thickness, reconstruction centre, Frame of Reference UID; every slice "
        "lies in one straight stack, within a quarter of a pixel or millimetre; a multi-frame CT stands alone."
    ),
    Reason.DUPLICATE_POSITION: "Every slice has a position of its own.",
    Reason.MULTIPHASE: (
        "One kernel, kVp, contrast agent, phase, reconstruction diameter, scanner, Image Type up to value 3; "
        "acquisition number, time, pitch, series description and the like run along the stack; noise does not "
        "alternate from slice to slice, but by interpolation."
    ),
    Reason.MIXED_PATIENTS: (
        "One Patient ID; no two names, birth dates, sexes, issuers, or ages a year apart. Padding, case, punctuation "
        "of dates and trailing ^ aside. The same among all CT series of a study."
    ),
    Reason.MIXED_SERIES: "One Study, Series UID, Modality, Series Number, Study Date.",
    Reason.IRREGULAR_SPACING: (
        f"Spread of the slice spacing ≤ {LIMITS.spacing_tolerance_mm} mm or {LIMITS.spacing_tolerance:.0%}, the larger"
        "; or every slice lies within half of the unit that positions were rounded to of an even grid."
    ),
    Reason.MISSING_SLICES: "No gap of one or more whole slices.",
    Reason.TOO_THICK: f"Larger of Slice Thickness and slice spacing ≤ {LIMITS.max_thickness_mm:.0f} mm.",
    Reason.TOO_FEW: f"At least {LIMITS.min_slices} slices.",
    Reason.SHORT_COVERAGE: f"First to last slice inclusive ≥ {LIMITS.min_extent_mm:.0f} mm.",
    Reason.NOT_HU: (
        "MONOCHROME2, Rescale Slope and Intercept, Rescale Type HU, no map of iodine, density or atomic number by "
        "Image Type; air and soft tissue where they belong; no slice whose values are its neighbours' with another "
        "slope or intercept."
    ),
    Reason.DAMAGED_SLICES: (
        "No slice is blank, repeats another's pixels, is empty where its neighbours show the patient, is much noisier "
        "than they are or differs from them more than they do from each other."
    ),
    Reason.NO_LUNG: "The lung mask, not Body Part Examined, shows two lungs of plausible volume.",
    Reason.TRUNCATED: (
        f"Each lung's area in the first and last slice is ≤ {MAX_END_PART:.0%} of its largest; of its surface to the "
        f"front, back, right and left ≤ {MAX_EDGE_PART:.0%} lies at the edge of the images or of their padding."
    ),
    Reason.LUNG_LOST: f"At most {MAX_LEFT_OUT_PART:.0%} of what was found as lung is left out of both lungs.",
    Reason.INCOMPLETE: "As many images have arrived as the sender says it holds, where it can be asked.",
    Reason.AGE: (
        f"Patient's Age, and Study Date less Birth Date, are at least {LIMITS.min_age_years:.0f} years, as far as "
        "recorded."
    ),
    Reason.TOO_LARGE: (
        f"Rows x Columns x slices ≤ {LIMITS.max_voxels:,} (`limits.max_voxels`), for the memory: "
        f"{LIMITS.max_voxels // 512**2:,} slices of 512 x 512. One header ≤ {MOST_HEADER_BYTES // 2**20} MiB, those of "
        f"a series together ≤ {MOST_HEADERS_BYTES // 2**20} MiB; a file, inflated, is no larger than a header and its "
        "pixels."
    ),
    Reason.CODEC: "The transfer syntax is known and every frame decodes.",
    Reason.UNREADABLE: "All attributes needed are present and well formed; the detail names the one that is not.",
    Reason.FAILED: "No step raised an error; the detail names the error and the step, the log where it arose.",
    Reason.NO_PIPELINE: "A rule of `pipelines` matches one of the study's CT series, or an analysis has no rules.",
    Reason.NOT_CHOSEN: "One series of a study is analysed, the best; the detail tells how this one ranked.",
}

HEAD = """# Why a CT is not analysed

Generated by `docs/generate_reasons.py`; do not edit.

A series is refused with every reason that applies, each with the values that decided it. Limits are the defaults.

| Code | Meaning | What is expected |
|---|---|---|
"""

FLAGS = """
## Warnings

The CT is analysed, but result, SR and PDF carry the warning, where there are any with the values that raised it.

| Code | Meaning | Pipelines |
|---|---|---|
"""


def raised_by(pipelines: Iterable[Pipeline]) -> dict[Flag, list[str]]:
    """Every flag once, and the names of the pipelines that raise it."""
    found: dict[Flag, list[str]] = {}
    for pipeline in pipelines:
        for flag in pipeline.flags:
            found.setdefault(flag, []).append(f"`{pipeline.name}`")
    return found


def page() -> str:
    """The page; KeyError if a code has no rule."""
    reasons = (f"| `{reason}` | {reason.sentence} | {RULES[reason]} |\n" for reason in Reason)
    raised = raised_by(BUILT_IN) | {flag: ["all, of an earlier CT"] for flag in OF_COMPARISON}
    flags = (f"| `{flag}` | {flag.sentence} | {', '.join(names)} |\n" for flag, names in raised.items())
    return HEAD + "".join(reasons) + FLAGS + "".join(flags)


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(
            0
            if PAGE.read_text(encoding="utf-8") == page()
            else f"{PAGE.name} is out of date: run {Path(__file__).name}"
        )
    PAGE.write_text(page(), encoding="utf-8")

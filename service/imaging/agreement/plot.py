"""Bland-Altman plots as one SVG: a panel per label, a dot per case (its name shows under the pointer)."""

import math
from collections.abc import Mapping
from xml.sax.saxutils import escape

from service.imaging.agreement.compare import Agreement
from service.imaging.agreement.statistics import LIMITS_SD, BlandAltman, bland_altman

_WIDTH, _HEIGHT, _COLUMNS = 440.0, 310.0, 2
_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 84.0, 38.0, 48.0
_X = (_LEFT, _WIDTH - _RIGHT)
_Y = (_HEIGHT - _BOTTOM, _TOP)
_INK, _SOFT, _RULE, _ACCENT = "#16232E", "#56636E", "#DDE3E7", "#1F4E6B"
_LINE_GAP = 14.0

Cases = Mapping[str, Agreement]


def bland_altman_svg(labels: Mapping[str, Cases]) -> str:
    """labels: label to its cases, each at least one, by name."""
    columns = min(_COLUMNS, len(labels))
    rows = math.ceil(len(labels) / columns)
    width, height = columns * _WIDTH, rows * _HEIGHT
    panels = [
        f'<g transform="translate({k % columns * _WIDTH:g} {k // columns * _HEIGHT:g})">{_panel(label, cases)}</g>'
        for k, (label, cases) in enumerate(labels.items())
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" font-family="Helvetica, Arial, sans-serif" font-size="12">\n'
        f'<rect width="{width:g}" height="{height:g}" fill="#FFFFFF"/>\n' + "\n".join(panels) + "\n</svg>\n"
    )


def _panel(label: str, cases: Cases) -> str:
    values = bland_altman(list(cases.values()))
    means = [(case.pred_ml + case.truth_ml) / 2 for case in cases.values()]
    differences = [case.difference_ml for case in cases.values()]
    x_ticks = _ticks(min(means), max(means))
    y_ticks = _ticks(
        min(0.0, *differences, *(values.limits_ml or ())), max(0.0, *differences, *(values.limits_ml or ()))
    )
    return "\n".join(
        [
            _text(_X[0], 22, f"{label} (n = {values.n})", size=14, bold=True),
            *(_x_tick(t, _to(t, x_ticks, _X)) for t in x_ticks),
            *(_y_tick(t, _to(t, y_ticks, _Y)) for t in y_ticks),
            *_lines(values, y_ticks),
            *(
                _dot(name, case, _to(mean, x_ticks, _X), _to(difference, y_ticks, _Y))
                for (name, case), mean, difference in zip(cases.items(), means, differences, strict=True)
            ),
            _text(sum(_X) / 2, _HEIGHT - 10, "mean of prediction and truth (mL)", _SOFT, "middle"),
            f'<g transform="translate(16 {sum(_Y) / 2:g}) rotate(-90)">'
            + _text(0, 0, "prediction − truth (mL)", _SOFT, "middle")
            + "</g>",
        ]
    )


def _lines(values: BlandAltman, ticks: list[float]) -> list[str]:
    """Bias and limits of agreement with their numbers at the right, kept apart where the lines are close."""
    lines = [("bias", values.bias_ml, "")]
    if values.limits_ml:
        low, high = values.limits_ml
        lines = [(f"+{LIMITS_SD} SD", high, "6 4"), *lines, (f"−{LIMITS_SD} SD", low, "6 4")]
    middle = (len(lines) - 1) / 2
    bias_y = _to(values.bias_ml, ticks, _Y)
    drawn = []
    for k, (name, value, dashes) in enumerate(lines):
        y = _to(value, ticks, _Y)
        shift = (k - middle) * 2 * _LINE_GAP
        text_y = (min(y, bias_y + shift) if shift < 0 else max(y, bias_y + shift)) if shift else y
        drawn.append(
            f'<line x1="{_X[0]:g}" y1="{y:.1f}" x2="{_X[1]:g}" y2="{y:.1f}" stroke="{_ACCENT}" stroke-width="1.3" '
            f'stroke-dasharray="{dashes}"/>'
            + _text(_X[1] + 6, text_y - 1, name, _SOFT)
            + _text(_X[1] + 6, text_y + 12, _number(value), _INK, bold=True)
        )
    return drawn


def _dot(name: str, case: Agreement, x: float, y: float) -> str:
    told = f"{name}: prediction {_number(case.pred_ml)} mL, truth {_number(case.truth_ml)} mL"
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_ACCENT}" fill-opacity="0.55" stroke="{_ACCENT}">'
        f"<title>{escape(told)}</title></circle>"
    )


def _x_tick(value: float, x: float) -> str:
    line = f'<line x1="{x:.1f}" y1="{_Y[0]:g}" x2="{x:.1f}" y2="{_Y[1]:g}" stroke="{_RULE}"/>'
    return line + _text(x, _Y[0] + 17, _number(value), _SOFT, "middle")


def _y_tick(value: float, y: float) -> str:
    colour = _SOFT if value == 0 else _RULE
    line = f'<line x1="{_X[0]:g}" y1="{y:.1f}" x2="{_X[1]:g}" y2="{y:.1f}" stroke="{colour}"/>'
    return line + _text(_X[0] - 7, y + 4, _number(value), _SOFT, "end")


def _text(
    x: float, y: float, text: str, colour: str = _INK, anchor: str = "start", size: float = 12, bold: bool = False
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="{size:g}"{weight}>'
        f"{escape(text)}</text>"
    )


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers that span low to high; at least one unit apart where they are equal."""
    span = max(high - low, abs(high) * 0.1, 1e-3)
    step = 10.0 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [k * step for k in range(first, max(last, first + 1) + 1)]


def _to(value: float, ticks: list[float], ends: tuple[float, float]) -> float:
    return ends[0] + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (ends[1] - ends[0])


def _number(value: float) -> str:
    """Three significant digits, no exponent for what a volume in mL can be."""
    rounded = float(f"{value:.3g}")
    text = f"{rounded:,.0f}" if abs(rounded) >= 100 or rounded == int(rounded) else f"{rounded:g}"
    return text.replace("-", "−")

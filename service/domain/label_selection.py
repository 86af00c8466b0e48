"""Which labels are compared, under which names: `1+2+3=lung,GROUND_GLASS=ggo`."""

from collections.abc import Mapping, Sequence

EVERYTHING = "*"

Names = Mapping[int, tuple[str, ...]]
"""The labels of a file: number to what it is called, nothing in NIfTI."""

Selection = Mapping[str, tuple[str, ...]]
"""Name to the labels that count as it, as they were written: label values, segment numbers, names of segments, or *."""


def parse(text: str) -> Selection:
    """ValueError, in words, if the text is not a comma-separated list of LABEL[+LABEL...]=NAME."""
    selection: dict[str, tuple[str, ...]] = {}
    for part in text.split(","):
        labels, equals, name = (piece.strip() for piece in part.rpartition("="))
        wanted = tuple(label.strip() for label in labels.split("+"))
        if not equals or not name or not all(wanted):
            raise ValueError(f"{part.strip()!r} is not of the form LABEL=NAME or LABEL+LABEL=NAME")
        if name in selection:
            raise ValueError(f"the name {name!r} is given twice; to merge labels write LABEL+LABEL={name}")
        selection[name] = wanted
    return selection


def numbers(wanted: tuple[str, ...], names: Names) -> tuple[int, ...]:
    """The numbers, of those in `names`, that a file uses for the wanted labels; () if it has none of them."""
    return tuple(n for n, called in names.items() if any(_is(label, n, called) for label in wanted))


def shared(pred: Names | None, truth: Names) -> Selection:
    """What to compare when nobody said: equal values of NIfTI files, equally named segments of Segmentations.

    pred: None where there is no prediction. ValueError, in words, for a mixture: the third segment need not be value 3.
    """
    files = [names for names in (pred, truth) if names is not None]
    named = {any(names.values()) for names in files}
    if len(named) > 1:
        listed = ", ".join(f"{which} has {_listed(names)}" for which, names in (("PRED", pred), ("TRUTH", truth)))
        raise ValueError(f"say with --labels and --pred-labels what belongs together: {listed}")
    return _by_name(files) if named == {True} else _by_number(files)


def _by_number(files: Sequence[Names]) -> Selection:
    """Every label value of the files under its own number."""
    return {str(n): (str(n),) for n in sorted({n for names in files for n in names})}


def _by_name(files: Sequence[Names]) -> Selection:
    """Every segment of the files under its Segment Label, whatever its number and case."""
    labels = {called[0].casefold(): called[0] for names in files for called in names.values()}
    return {label: (label,) for label in labels.values()}


def _is(label: str, number: int, called: tuple[str, ...]) -> bool:
    if label.isdecimal():
        return int(label) == number
    return label == EVERYTHING or label.casefold() in (name.casefold() for name in called)


def _listed(names: Names | None) -> str:
    """For an error message: 1 'Ground-glass opacity' or 'GROUND_GLASS', 2 ..."""
    labels = (" ".join(filter(None, (str(n), " or ".join(map(repr, called))))) for n, called in (names or {}).items())
    return ", ".join(labels) or "no labels"

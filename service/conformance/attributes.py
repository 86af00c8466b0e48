"""Attributes of the objects that we create, and where their values come from, found by comparing encoded objects.

A sample is encoded several times, each time with one thing changed that results are made from: a value that changes
with the CT comes from the CT, one that never changes is constant. So the table says what the encoders do.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.multival import MultiValue
from pydicom.tag import Tag
from pydicom.uid import UID

from service.conformance.sample_results import CHANGES, FIRST, sample_results

COPIED = "the CT's, unchanged"
EVERYTHING = "made from all of these"
_CONTENT = "ContentSequence"
_LONGEST = 64
_ITEMS = {0: "no item", 1: "one item"}
MORE = "one item or more"
_BINARY = ("OB", "OW", "OF", "OD", "OL", "OV", "UN")

_TELLS_OF = {"EncapsulatedDocumentLength": "EncapsulatedDocument"}
"""Two documents may be of one length by chance."""

Path = tuple[str, ...]
"""Keywords of the sequences that an attribute stands in, and its own."""

Values = dict[Path, list[str]]


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of an object. source: where its value comes from. value: where it is constant."""

    path: Path
    source: str
    value: str = ""

    @property
    def key(self) -> str:
        return ".".join(self.path)

    @property
    def name(self) -> str:
        """As PS3.3 writes it: > for each sequence that it stands in."""
        return f"{'>' * (len(self.path) - 1)}{dictionary_description(self.tag)}"

    @property
    def tag(self) -> int:
        found = tag_for_keyword(self.path[-1])
        assert found is not None, "the encoders write standard attributes"
        return found

    @property
    def tag_words(self) -> str:
        tag = Tag(self.tag)
        return f"({tag.group:04X},{tag.element:04X})"


@cache
def attributes(kind: str) -> tuple[Attribute, ...]:
    """Attributes of the objects of a kind, in the order of the object; the content of an SR stays out."""
    samples = sample_results()
    found = {name: values(objects[kind]) for name, (_, objects) in samples.items()}
    headers = {name: values(header) for name, (header, _) in samples.items()}
    paths = dict.fromkeys(path for name in found for path in found[name])
    return tuple(Attribute(path, *_source(path, found, headers)) for path in sorted(paths, key=_order))


def values(dataset: Dataset) -> Values:
    """Each attribute's values as text, those in several items one after the other."""
    collected: Values = {}
    for path, value in _walk(dataset, ()):
        collected.setdefault(path, []).append(value)
    return collected


def _walk(dataset: Dataset, above: Path) -> Iterator[tuple[Path, str]]:
    for element in dataset:
        path = (*above, element.keyword)
        if element.VR != "SQ" or element.keyword == _CONTENT:
            yield path, _text(element)
            continue
        yield path, _ITEMS.get(len(element.value), MORE)
        for item in element.value:
            yield from _walk(item, path)


def _text(element: DataElement) -> str:
    if element.VR in _BINARY or element.VR == "SQ":
        return str(element.value)
    if isinstance(element.value, UID) and element.value.name != element.value:
        return element.value.name
    values = element.value if isinstance(element.value, MultiValue | list) else [element.value]
    return "\\".join("" if value is None else str(value) for value in values)


def _order(path: Path) -> tuple[int, ...]:
    return tuple(tag_for_keyword(keyword) or 0 for keyword in path)


def _source(path: Path, found: Mapping[str, Values], headers: Mapping[str, Values]) -> tuple[str, str]:
    """Where the values come from, and the value of a constant."""
    path = (*path[:-1], _TELLS_OF.get(path[-1], path[-1]))
    first = found[FIRST].get(path)
    changing = [name for name in CHANGES if found[name].get(path) != first]
    if not changing:
        return ("constant", _constant(first or []))
    if changing == ["ct"] and all(found[name][path] == headers[name].get(path) for name in found):
        return COPIED, ""
    if len(changing) == len(CHANGES):
        return EVERYTHING, ""
    return ", ".join(CHANGES[name] for name in reversed(changing)), ""


def _constant(texts: list[str]) -> str:
    """What is always written, if it is short."""
    text = ", ".join(dict.fromkeys(texts))
    return text if len(text) <= _LONGEST and text.isprintable() else "…"

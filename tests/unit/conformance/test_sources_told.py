"""The attributes told are those of a phantom's results, and each value changes with its sources alone."""

from collections.abc import Mapping

import pytest
from helpers.changed_results import Result, changed_results

from service.conformance.attributes import COPIED, EVERYTHING, Attribute, Values, attributes, values
from service.conformance.objects import KINDS
from service.conformance.sample_results import CHANGES, FIRST, LABEL_MAP

pytestmark = pytest.mark.slow

CONTEXT = CHANGES.keys() - {"analysis", "lossy", "ct"}
"""Changes of which there is one kind only: of a CT and of an analysis much may change, or little."""

MAY_STAY = ("ContentSequence", "EncapsulatedDocumentLength")
"""Text need not tell all that it is made from, and two documents may be of one length."""


@pytest.fixture(scope="module")
def changed() -> Mapping[str, Result]:
    return changed_results()


@pytest.mark.conformance("attributes all/*", *(f"attributes {kind}/*" for kind in KINDS))
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_told_is_what_is_found(kind: str, changed: Mapping[str, Result]) -> None:
    found = {path for _, objects in changed.values() for one in objects[kind] for path in values(one)}
    assert found == {one.path for one in attributes(kind)}


@pytest.mark.conformance("attributes all/*", *(f"attributes {kind}/*" for kind in KINDS))
@pytest.mark.parametrize("kind", KINDS)
def test_values_change_with_their_sources_alone(kind: str, changed: Mapping[str, Result]) -> None:
    found = {name: values(objects[kind][0]) for name, (_, objects) in changed.items()}
    for one in attributes(kind):
        told, changes = sources(one), changes_of(one, found)
        assert changes <= told, one.key
        if one.path[-1] not in MAY_STAY and any(one.path in of_one for of_one in found.values()):
            assert told & CONTEXT <= changes, one.key
        if one.source == COPIED:
            assert all(of_one.get(one.path) == values(changed[name][0]).get(one.path) for name, of_one in found.items())


def sources(one: Attribute) -> set[str]:
    """Names of the changes that an attribute is said to follow."""
    special = {"constant": set[str](), COPIED: {"ct"}, EVERYTHING: set(CHANGES)}
    words = one.source.split(", ")
    return special.get(one.source, {name for name, meaning in CHANGES.items() if meaning in words})


def changes_of(one: Attribute, found: Mapping[str, Values]) -> set[str]:
    return {name for name in CHANGES if found[name].get(one.path) != found[FIRST].get(one.path)}


@pytest.mark.parametrize("kind", ["seg", LABEL_MAP, "heat-map"])
def test_loss_of_any_image_is_told(kind: str, changed: Mapping[str, Result]) -> None:
    for one in changed[FIRST][1][kind]:
        assert one.LossyImageCompression == "00" and "LossyImageCompressionRatio" not in one
    for one in changed["lossy"][1][kind]:
        assert (one.LossyImageCompression, one.LossyImageCompressionRatio) == ("01", 8)
        assert one.LossyImageCompressionMethod == "ISO_14495_1"

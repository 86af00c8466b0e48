"""What a peer's answers to C-FIND tell, and what they do not."""

import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from service.network.find import count_images
from service.network.peer import DicomNode

NOBODY = DicomNode("nobody", "NOBODY", "127.0.0.1", 1, "THORACLE")


class Answering:
    """An association whose peer answers a C-FIND with one series of this many images."""

    is_established = True

    def __init__(self, count: object) -> None:
        self.count = count

    def send_c_find(self, *_: object) -> list[tuple[Dataset, Dataset]]:
        if isinstance(self.count, Exception):
            raise self.count
        pending, success, match = Dataset(), Dataset(), Dataset()
        pending.Status, success.Status = 0xFF00, 0x0000
        value = self.count if isinstance(self.count, bytes) else str(self.count).encode()
        tag = Tag("NumberOfSeriesRelatedInstances")
        match[tag] = RawDataElement(tag, "IS", len(value), value, 0, False, True)
        return [(pending, match), (success, Dataset())]

    def release(self) -> None:
        """Nothing to end."""


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("count", "found"),
    [
        (88, 88),
        (b"", None),
        (b"many", None),
        (b"1\\2", None),
        (RuntimeError("the association has ended"), None),
        (ValueError("the peer accepted no presentation context"), None),
    ],
)
def test_images_are_counted_or_not_told(monkeypatch: pytest.MonkeyPatch, count: object, found: int | None) -> None:
    monkeypatch.setattr("service.network.find.associate", lambda *_: Answering(count))
    assert count_images(NOBODY, "1.2", "1.2.3") == found

"""A modality that sends small phantom CTs and does not rest until each image is acknowledged."""

import copy
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from helpers import make_ct
from pydicom import Dataset
from pydicom.uid import generate_uid

from service.network.peer import DicomNode
from service.network.send import Verdict, send

_AGAIN_AFTER_S = 0.5


def phantom() -> list[Dataset]:
    """As few and as small slices as the gate takes."""
    small = {"slices": 41, "spacing_mm": 5.0, "rows": 48, "columns": 64, "pixel_mm": (6.0, 6.0)}
    return make_ct.make(**small, findings=make_ct.FINDINGS).datasets


class Modality(threading.Thread):
    """Sends one study after the other. sent: Study Instance UIDs whose images were all acknowledged."""

    def __init__(self, node: DicomNode, images: Sequence[Dataset], studies: Iterable[str]) -> None:
        super().__init__(name="modality", daemon=True)
        self._node = node
        self._images = images
        self._studies = studies
        self.sent: list[str] = []

    def run(self) -> None:
        for study in self._studies:
            with TemporaryDirectory(prefix="modality-") as folder:
                self._send(make_ct.write(images_of(study, self._images), Path(folder)))
            self.sent.append(study)

    def _send(self, files: Sequence[Path]) -> None:
        while files:
            files = [outcome.path for outcome in send(self._node, files) if outcome.verdict is not Verdict.STORED]
            if files:
                threading.Event().wait(_AGAIN_AFTER_S)


def images_of(study: str, images: Sequence[Dataset]) -> Iterator[Dataset]:
    """The same images as those of another patient."""
    for number, image in enumerate(images):
        own = copy.deepcopy(image)
        own.StudyInstanceUID = study
        own.PatientID = own.AccessionNumber = study[-12:]
        own.SeriesInstanceUID = generate_uid(entropy_srcs=[study, "series"])
        own.FrameOfReferenceUID = generate_uid(entropy_srcs=[study, "frame of reference"])
        own.SOPInstanceUID = generate_uid(entropy_srcs=[study, str(number)])
        own.file_meta.MediaStorageSOPInstanceUID = own.SOPInstanceUID
        yield own

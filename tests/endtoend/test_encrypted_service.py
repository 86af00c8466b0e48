"""The whole service with encrypted files: a study comes, its results are delivered, all is purged."""

import os
import shutil
from base64 import b64encode
from pathlib import Path

import pytest
from helpers import tiny_models
from helpers.dicom_peers import free_port, wait_until
from helpers.make_ct import write
from helpers.receiving import dataset_bytes
from helpers.running_service import AET, RunningService
from pydicom import dcmread

from demo.pacs import StandInPacs
from service.composition.storage import existing_storage
from service.network.peer import DicomNode
from service.network.send import Verdict, send
from service.settings import Encryption, Settings
from service.store.file_keys import KeyForgotten
from tests.soak.modality import images_of, phantom

NAME = b"Encrypted^Jane"
SECONDS = 1 / 86400


def holding(folder: Path, *texts: bytes) -> list[str]:
    """Files that hold one of these anywhere."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path.relative_to(folder)) for path in files if any(text in path.read_bytes() for text in texts)]


@pytest.mark.timeout(600)
def test_no_image_and_no_name_lies_on_the_disk_and_a_purge_ends_every_copy(tmp_path: Path) -> None:
    images = list(images_of("1.2.3", phantom()))
    for image in images:
        image.PatientName = NAME.decode()
    ct = write(images, tmp_path / "ct")
    key = b64encode(os.urandom(32)).decode()
    pacs = StandInPacs(tmp_path / "pacs", "PACS", port := free_port())
    service = RunningService(
        tmp_path / "service",
        ("PACS", port),
        environment={"THORACLE_ENCRYPTION__MASTER_KEY": key},
        inference={"repository": str(tiny_models.installed(tmp_path / "models"))},
        retention={"keep_days": 8 * SECONDS},
    )
    data = service.folder / "data"
    with pacs, service:
        node = DicomNode("service", AET, "127.0.0.1", service.port, "CT1")
        assert {o.verdict for o in send(node, ct)} == {Verdict.STORED}
        job = service.wait_for_job("delivered")
        assert holding(data, b"DICM", NAME) == []
        assert len(list(data.glob("spool/*/*/*.dcm"))) == len(ct)
        copy = shutil.copytree(data, tmp_path / "copy", ignore=shutil.ignore_patterns("*.db*", "run"))

        settings = Settings(data_dir=data, encryption=Encryption(master_key=key))  # type: ignore[arg-type]
        spool, engine = existing_storage(settings)
        results = [str(path.relative_to(data)) for path in sorted(data.glob(f"results/{job['job_id']}/*.dcm"))]
        with spool.local(results) as paths:
            kept = {dcmread(path).SOPInstanceUID: dataset_bytes(path) for path in paths}
        received = {dcmread(path).SOPInstanceUID: dataset_bytes(path) for path in pacs.received}
        assert received.items() <= kept.items(), "what was delivered is what lies encrypted"
        assert len(received) == 5
        assert NAME in next(iter(pacs.received)).read_bytes(), "the name is in the results"

        wait_until(lambda: not list(data.glob("spool/*")) and not list(data.glob("results/*")), 120)
        shutil.copytree(copy, data, dirs_exist_ok=True)
        for path in [*data.glob("spool/*/*/*.dcm"), *data.glob("results/*/*")]:
            with pytest.raises(KeyForgotten):
                spool.read(str(path.relative_to(data)))
        engine.dispose()

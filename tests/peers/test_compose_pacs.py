"""The PACS of compose.yaml: a real Orthanc with its configuration forwards a CT, but not what came from Thoracle."""

import base64
import json
import runpy
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from helpers import make_ct
from helpers.dicom_peers import Orthanc, StoreScp, dcmtk, wait_until
from pydicom import dcmread

pytestmark = pytest.mark.peers

DOCKER = Path(__file__).parents[2] / "docker"
FOLDER = DOCKER / "orthanc"


def test_a_ct_is_forwarded_once(tmp_path: Path) -> None:
    configuration = json.loads((FOLDER / "orthanc.json").read_text())
    of_this_test = ("StorageDirectory", "IndexDirectory", "RemoteAccessAllowed", "DicomPort")
    options = {key: value for key, value in configuration.items() if key not in of_this_test}
    assert [Path(script).name for script in options["LuaScripts"]] == ["forward.lua"]
    options |= {"LuaScripts": [str(FOLDER / "forward.lua")], "StableAge": 1}
    scans = {name: make_ct.make(study=name, slices=2).datasets for name in ("theirs", "ours")}
    files = {name: make_ct.write(datasets, tmp_path / name) for name, datasets in scans.items()}
    with StoreScp(tmp_path / "thoracle") as thoracle:
        options["DicomModalities"] = {"THORACLE": ["THORACLE", "127.0.0.1", thoracle.port]}
        with Orthanc(tmp_path / "pacs", **options) as pacs:
            for sender, name in (("THORACLE", "ours"), ("CT1", "theirs")):
                dcmtk("storescu", "-aet", sender, "-aec", "ORTHANC", "127.0.0.1", pacs.port, *files[name])
            wait_until(lambda: len(thoracle.received) >= 2, 120)
            forwarded = {str(dcmread(path).StudyInstanceUID) for path in thoracle.received}
    assert forwarded == {str(scans["theirs"][0].StudyInstanceUID)}


def test_it_asks_for_the_password_that_was_made(tmp_path: Path) -> None:
    users: dict[str, Any] = json.loads(runpy.run_path(str(DOCKER / "passwords.py"))["files"]("PACS", "made-up")[0][2])
    assert (
        not users.keys() & json.loads((FOLDER / "orthanc.json").read_text()).keys()
    )  # the image would refuse a key twice
    with Orthanc(tmp_path, **users) as pacs:
        asked = urllib.request.Request(f"{pacs.url}/system")
        with pytest.raises(HTTPError, match="401"):
            urllib.request.urlopen(asked, timeout=30)
        asked.add_header("Authorization", f"Basic {base64.b64encode(b'trial:made-up').decode()}")
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert json.load(answer)["Name"] == "test"

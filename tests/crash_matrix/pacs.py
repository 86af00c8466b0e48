"""Orthanc as a PACS that commits, with a line in front of it, and the trouble that it can make."""

import urllib.request
from collections import Counter
from pathlib import Path

from helpers.dicom_peers import Orthanc

from tests.crash_matrix.line import Line

# Lua. Each C-STORE is noted; while there is a file `refusing`, it is answered 0xA700, out of resources.
_FILTER = """
function ReceivedInstanceFilter(dicom, origin, info)
  local log = io.open('{folder}/stored', 'a')
  log:write(dicom.SOPInstanceUID .. '\\n')
  log:close()
  local refusing = io.open('{folder}/refusing')
  if refusing then
    refusing:close()
  end
  return refusing == nil
end
"""


class Pacs(Orthanc):
    """Used in a `with` block; may be stopped and started again. reporting: AE title and port it answers for objects."""

    def __init__(self, folder: Path, reporting: tuple[str, int]) -> None:
        folder.mkdir(parents=True)
        script = folder / "filter.lua"
        script.write_text(_FILTER.replace("{folder}", str(folder)))
        ae_title, port = reporting
        us = {"AET": ae_title, "Host": "127.0.0.1", "Port": port, "AllowStorageCommitment": True}
        super().__init__(folder, DicomModalities={"ai": us}, LuaScripts=[str(script)])
        self.line = Line(self.port)
        self._stored, self._refusing = folder / "stored", folder / "refusing"

    def start(self) -> None:
        self.__enter__()

    def kill(self) -> None:
        self.__exit__()

    def refuse(self, refusing: bool) -> None:
        """Answer every C-STORE with 0xA700, or no longer."""
        self._refusing.touch() if refusing else self._refusing.unlink()

    def lose(self, sop_instance_uid: str) -> None:
        """Forget an object that it has taken."""
        for one in self.get("/instances?expand"):
            if one["MainDicomTags"]["SOPInstanceUID"] == sop_instance_uid:
                urllib.request.urlopen(urllib.request.Request(f"{self.url}/instances/{one['ID']}", method="DELETE"))

    def stored(self) -> Counter[str]:
        """How often a C-STORE of each SOP Instance UID came."""
        return Counter(self._stored.read_text().split()) if self._stored.exists() else Counter()

    def files(self, study_uid: str) -> dict[str, bytes]:
        """The DICOM files of a study, by SOP Instance UID."""
        studies = [s for s in self.get("/studies?expand") if s["MainDicomTags"]["StudyInstanceUID"] == study_uid]
        instances = [i for s in studies for i in self.get(f"/studies/{s['ID']}/instances")]
        return {i["MainDicomTags"]["SOPInstanceUID"]: self.file(i["ID"]) for i in instances}

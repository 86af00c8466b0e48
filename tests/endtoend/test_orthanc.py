"""The main job with a real PACS: Orthanc forwards a CT by its own rule, and the results come back under its study.

Everything goes by TLS, and both sides show certificates.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicomweb_client import DICOMwebClient
from helpers.authority import Authority
from helpers.dicom_peers import Orthanc, free_port, wait_until
from helpers.running_service import AET, RunningService
from helpers.shared_data import shared_data
from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage, EncapsulatedPDFStorage, SegmentationStorage

from service.network.peer import DicomNode
from service.network.send import Verdict, send
from service.tls import TlsFiles

ROUTE = """
function OnStableSeries(id, tags, metadata)
  if tags['Modality'] == 'CT' and metadata['RemoteAET'] ~= 'THORACLE' then
    RestApiPost('/modalities/ai/store', '{"Resources":["' .. id .. '"],"Asynchronous":true}', false)
  end
end
"""


@pytest.fixture(scope="module")
def round_trip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Orthanc, RunningService, list[Path]]]:
    """P001 was sent to Orthanc by a modality; Orthanc forwarded it; the results have come back."""
    folder = tmp_path_factory.mktemp("round-trip")
    lua = folder / "route.lua"
    lua.write_text(ROUTE)
    ct = sorted(shared_data("dicom/covid-ct-md/P001").glob("*.dcm"))
    service_port = free_port()
    modality = {"AET": AET, "Host": "127.0.0.1", "Port": service_port, "AllowStorageCommitment": True}
    hospital = Authority(folder / "authority")
    (theirs, their_key), (ours, our_key) = hospital.issue("orthanc"), hospital.issue("thoracle")
    pacs_by_tls = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(theirs),
        "DicomTlsPrivateKey": str(their_key),
        "DicomTlsTrustedCertificates": str(hospital.certificate),
        "DicomModalities": {"ai": modality | {"UseDicomTls": True}},
    }
    with Orthanc(folder / "pacs", LuaScripts=[str(lua)], **pacs_by_tls) as pacs:
        tls = {"certificate": str(ours), "key": str(our_key), "ca": str(hospital.certificate)}
        known = {"addresses": ["127.0.0.1"], "certificates": ["orthanc"], "quiet_s": 3}
        asked = {"host": "127.0.0.1", "port": pacs.port, "tls": tls}
        receiver = {"port": service_port, "tls": tls, "callers": {Orthanc.AET: known | asked}}
        to = {"ae_title": Orthanc.AET, "host": "127.0.0.1", "port": pacs.port, "retry_delays_s": [1], "tls": tls}
        with RunningService(folder / "service", None, receiver=receiver, destinations={"pacs": to}) as service:
            files = TlsFiles(ours, our_key, hospital.certificate)
            scanner = DicomNode("pacs", Orthanc.AET, "127.0.0.1", pacs.port, "CT1", files)
            assert {o.verdict for o in send(scanner, ct)} == {Verdict.STORED}
            service.wait_for_job("delivered", timeout_s=280)
            yield pacs, service, ct


def test_all_results_are_in_the_pacs_under_the_study_of_the_ct(
    round_trip: tuple[Orthanc, RunningService, list[Path]],
) -> None:
    pacs, _, ct = round_trip
    source = dcmread(ct[0], stop_before_pixels=True)
    series = [pacs.get(f"/series/{s}") for s in pacs.get("/series")]
    assert len({s["ParentStudy"] for s in series}) == 1
    assert sorted(s["MainDicomTags"]["Modality"] for s in series) == ["CT", "DOC", "SEG", "SEG", "SR", "SR"]
    (study,) = [pacs.get(f"/studies/{s}") for s in pacs.get("/studies")]
    assert study["MainDicomTags"]["StudyInstanceUID"] == source.StudyInstanceUID
    assert study["PatientMainDicomTags"]["PatientID"] == source.PatientID


def test_dicomweb_gives_back_the_stored_pixels_byte_for_byte(
    round_trip: tuple[Orthanc, RunningService, list[Path]],
) -> None:
    pacs, service, _ = round_trip
    client = DICOMwebClient(f"{pacs.url}/dicom-web")
    stored = {d.SOPInstanceUID: d for d in _results(service)}
    found = [Dataset.from_json(json.dumps(i)) for i in client.search_for_instances(search_filters={"Modality": "SEG"})]
    assert len(found) == 2
    for one in found:
        back = client.retrieve_instance(one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID)
        assert bytes(back.PixelData) == bytes(stored[one.SOPInstanceUID].PixelData)
        assert np.count_nonzero(back.pixel_array) > 0


def test_every_object_says_what_it_is_and_that_nobody_verified_it(
    round_trip: tuple[Orthanc, RunningService, list[Path]],
) -> None:
    results = _results(round_trip[1])
    classes = [d.SOPClassUID for d in results]
    assert classes.count(SegmentationStorage) == 2
    assert classes.count(Comprehensive3DSRStorage) == 3, "one of them for a PACS that refuses Segmentations"
    assert classes.count(EncapsulatedPDFStorage) == 1
    assert all("research use only" in d.SeriesDescription for d in results)
    assert {d.get("VerificationFlag", "UNVERIFIED") for d in results} == {"UNVERIFIED"}


def test_job_and_metrics_tell_what_happened_without_patient_data(
    round_trip: tuple[Orthanc, RunningService, list[Path]],
) -> None:
    _, service, ct = round_trip
    source = dcmread(ct[0], stop_before_pixels=True)
    job: dict[str, Any] = service.get("/api/jobs/" + service.jobs()[0]["job_id"]) or {}
    assert job["series_uid"] == source.SeriesInstanceUID
    assert [d["state"] for d in job["deliveries"]] == ["committed"] * 5
    assert {d["attempts"] for d in job["deliveries"]} == {1}
    assert set(job["timings_s"]) >= {"check", "read", "lungs", "lobes", "opacities", "measure", "encode"}
    metrics = service.metrics()
    for sample in (
        'thoracle_jobs{state="delivered"} 1.0',
        'thoracle_series{reason="ANALYSED"} 1.0',
        'thoracle_instances_total{modality="CT",status="0x0000"} 148.0',
        'thoracle_deliveries_total{destination="pacs",outcome="stored"} 5.0',
        'thoracle_associations_total{outcome="accepted"} 2.0',  # the CT, and the report that the results are kept
        "thoracle_acquisition_to_delivery_seconds_count 1.0",
        'thoracle_stage_seconds_count{stage="encode"} 1.0',
    ):
        assert sample in metrics, sample
    for secret in (str(source.PatientID), str(source.get("PatientName", "")) or "no name"):
        assert secret not in service.log()
        assert secret not in metrics
        assert secret not in json.dumps(job)


def _results(service: RunningService) -> list[Dataset]:
    return [dcmread(path) for path in sorted((service.folder / "data" / "results").glob("*/*.dcm"))]


def test_the_results_in_the_pacs_do_not_start_another_job(
    round_trip: tuple[Orthanc, RunningService, list[Path]],
) -> None:
    pacs, service, _ = round_trip
    wait_until(lambda: all(j["State"] in ("Success", "Failure") for j in map(pacs.get, _jobs(pacs))))
    assert len(service.jobs()) == 1


def _jobs(pacs: Orthanc) -> list[str]:
    return [f"/jobs/{job}" for job in pacs.get("/jobs")]

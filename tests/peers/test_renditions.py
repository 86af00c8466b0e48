"""What a peer does not take as it is stored goes out in a rendition that it takes: same content, honest UIDs."""

import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers import evidence_samples, make_ct
from helpers.choosy_archive import ChoosyArchive
from helpers.dicom_peers import dcmtk, require
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SegmentationStorage,
)
from typer.testing import CliRunner

from service.cli import app
from service.evidence.context import SegKind, Selection, Style
from service.network.peer import DicomNode
from service.network.renditions import Rendition, rendered_bytes, uid_in
from service.network.send import StoreOutcome, Verdict, send

pytestmark = pytest.mark.peers

LABEL_MAP = UID("1.2.840.10008.5.1.4.1.1.66.7")
PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Evidence by kind: label maps, SRs of binary Segmentations (dciodvfy knows no others), report of a phantom."""
    folder = tmp_path_factory.mktemp("evidence")
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS)
    paths = {}
    for item in evidence_samples.encoded(
        ct, analysis, evidence_samples.context(ct), [Selection(Style(SegKind.LABELMAP)), Selection()]
    ):
        if (item.sop_instance_uid and item.kind not in paths) or item.kind in ("measurements", "study"):
            paths[item.kind] = folder / item.file_name
            paths[item.kind].write_bytes(item.content)
    return paths


def node(archive: ChoosyArchive) -> DicomNode:
    return DicomNode("pacs", archive.AET, "127.0.0.1", archive.port, "THORACLE")


@pytest.mark.parametrize("syntax", [RLELossless, *PLAIN])
def test_a_label_map_arrives_in_any_of_its_transfer_syntaxes_with_its_uid_and_pixels(
    evidence: dict[str, Path], syntax: UID, tmp_path: Path
) -> None:
    with ChoosyArchive(tmp_path, takes={LABEL_MAP: [syntax]}) as pacs:
        outcomes = send(node(pacs), [evidence["lobes"], evidence["findings"]])
    assert [(o.verdict, o.sent_as) for o in outcomes] == [(Verdict.STORED, None)] * 2
    assert [o.encoded_as for o in outcomes] == ["" if syntax == RLELossless else syntax.name] * 2
    for path, received in zip((evidence["lobes"], evidence["findings"]), map(dcmread, pacs.got), strict=True):
        stored = dcmread(path)
        assert (received.SOPInstanceUID, received.file_meta.TransferSyntaxUID) == (stored.SOPInstanceUID, syntax)
        assert np.array_equal(received.pixel_array, stored.pixel_array)
        for one in (stored, received):
            del one.PixelData
        assert received == stored, "no attribute has changed"


def values(document: Dataset) -> list[Dataset]:
    """The content but for references to other documents."""
    return [item for item in document.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue != "122073"]


@pytest.mark.parametrize("simpler", [ComprehensiveSRStorage, EnhancedSRStorage])
def test_a_peer_without_comprehensive_3d_sr_gets_a_simpler_one_in_the_same_association(
    evidence: dict[str, Path], simpler: UID, tmp_path: Path
) -> None:
    with ChoosyArchive(tmp_path / "pacs", takes={simpler: PLAIN, EncapsulatedPDFStorage: PLAIN}) as pacs:
        paths = [evidence["measurements"], evidence["study"], evidence["report-dicom"]]
        outcomes = send(node(pacs), paths, convertible=True)
        again = send(node(pacs), paths, convertible=True)
    assert [o.verdict for o in outcomes] == [Verdict.STORED] * 3
    assert again == outcomes, "the same object again"
    assert [o.sent_as for o in outcomes] == [
        *((str(simpler), uid_in(o.sop_instance_uid, simpler)) for o in outcomes[:2]),
        None,
    ]
    for outcome, file in zip(outcomes[:2], pacs.got, strict=False):
        received = dcmread(file)
        original = dcmread(outcome.path)
        assert outcome.sent_as == (received.SOPClassUID, received.SOPInstanceUID)
        assert (outcome.sop_instance_uid, original.SOPClassUID) == (original.SOPInstanceUID, Comprehensive3DSRStorage)
        assert [str(item) for item in values(received)] == [str(item) for item in values(original)]
        told = subprocess.run([require("dciodvfy"), file], capture_output=True, text=True)
        assert "Error" not in told.stderr, told.stderr
        assert dcmtk("dsrdump", file).returncode == 0


def test_a_class_that_is_accepted_and_then_refused_is_tried_in_the_next(
    evidence: dict[str, Path], tmp_path: Path
) -> None:
    with ChoosyArchive(tmp_path, statuses={Comprehensive3DSRStorage: 0x0122}) as pacs:
        (outcome,) = send(node(pacs), [evidence["study"]], convertible=True)
    assert (outcome.verdict, outcome.status) == (Verdict.STORED, 0x0000)
    assert [dcmread(one).SOPClassUID for one in pacs.got] == [Comprehensive3DSRStorage, ComprehensiveSRStorage]


def test_a_transfer_syntax_that_is_accepted_and_then_refused_is_followed_by_a_plain_one(
    evidence: dict[str, Path], tmp_path: Path
) -> None:
    with ChoosyArchive(tmp_path, statuses={RLELossless: 0xC122}) as pacs:
        (outcome,) = send(node(pacs), [evidence["lobes"]])
    assert (outcome.verdict, outcome.encoded_as) == (Verdict.STORED, "Explicit VR Little Endian")
    assert [dcmread(one).file_meta.TransferSyntaxUID for one in pacs.got] == [RLELossless, ExplicitVRLittleEndian]


def test_the_send_command_makes_no_new_objects(evidence: dict[str, Path], tmp_path: Path) -> None:
    """A document that may be another vendor's is refused where its class is; its UIDs and references are not ours."""
    with ChoosyArchive(tmp_path, takes={ComprehensiveSRStorage: PLAIN}) as pacs:
        result = CliRunner().invoke(app, ["send", str(evidence["study"]), "--to", f"PACS@127.0.0.1:{pacs.port}"])
    assert (result.exit_code, pacs.got) == (1, [])
    assert "Comprehensive 3D SR Storage in Explicit VR Little Endian is not accepted" in " ".join(result.output.split())


def test_the_send_command_prints_another_transfer_syntax(evidence: dict[str, Path], tmp_path: Path) -> None:
    with ChoosyArchive(tmp_path, takes={LABEL_MAP: [ImplicitVRLittleEndian]}) as pacs:
        result = CliRunner().invoke(app, ["send", str(evidence["lobes"]), "--to", f"PACS@127.0.0.1:{pacs.port}"])
    assert (result.exit_code, len(pacs.got)) == (0, 1)
    assert dcmread(pacs.got[0]).SOPInstanceUID == dcmread(evidence["lobes"]).SOPInstanceUID
    assert "sent in another transfer syntax, Implicit VR Little Endian: 1 of 1 files" in " ".join(result.output.split())


def test_what_fits_into_no_simpler_class_is_refused_by_name(evidence: dict[str, Path], tmp_path: Path) -> None:
    dataset, spatial = dcmread(evidence["study"]), Dataset()
    spatial.RelationshipType, spatial.ValueType = "CONTAINS", "SCOORD3D"
    dataset.ContentSequence.append(spatial)
    path = tmp_path / "spatial.dcm"
    dataset.save_as(path)
    with ChoosyArchive(tmp_path / "pacs", takes={ComprehensiveSRStorage: PLAIN}) as pacs:
        (outcome,) = send(node(pacs), [path], convertible=True)
    assert (outcome.verdict, outcome.unsupported, pacs.got) == (Verdict.PERMANENT, True, [])
    assert outcome.message == "Comprehensive 3D SR Storage in Explicit VR Little Endian is not accepted"


def test_references_to_converted_documents_follow_them(evidence: dict[str, Path]) -> None:
    content = rendered_bytes(evidence["study"], Rendition(ComprehensiveSRStorage, ExplicitVRLittleEndian))
    root, measurements = dcmread(BytesIO(content)), dcmread(evidence["measurements"])
    referred = {
        (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
        for sequence in root.iterall()
        if sequence.VR == "SQ"
        for item in sequence.value
        if "ReferencedSOPInstanceUID" in item
    }
    converted = uid_in(measurements.SOPInstanceUID, ComprehensiveSRStorage)
    assert (str(ComprehensiveSRStorage), converted) in referred
    assert str(Comprehensive3DSRStorage) not in dict(referred)
    assert dcmread(evidence["report-dicom"]).SOPInstanceUID in {uid for _, uid in referred}


def test_classes_that_nobody_accepts_are_final_and_named_also_when_there_is_nothing_else(
    evidence: dict[str, Path], tmp_path: Path
) -> None:
    with ChoosyArchive(tmp_path, takes={SegmentationStorage: PLAIN}) as pacs:
        outcomes: list[StoreOutcome] = send(node(pacs), [evidence["lobes"], evidence["report-dicom"]])
    assert [(o.verdict, o.unsupported, o.message) for o in outcomes] == [
        (Verdict.PERMANENT, True, "Label Map Segmentation Storage in RLE Lossless is not accepted"),
        (Verdict.PERMANENT, True, "Encapsulated PDF Storage in Explicit VR Little Endian is not accepted"),
    ]

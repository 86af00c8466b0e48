"""Coded concepts of this pipeline. A finding is what an algorithm suspects; nothing says that it is malignant."""

from pydicom.sr.codedict import codes as dicom
from pydicom.sr.coding import Code

from service.domain.codes import private

TUMOUR: Code = dicom.SCT.Neoplasm
"""Of any kind: neither malignant nor primary is claimed."""

COUNT: Code = dicom.SCT.NumberOfLesions
LONG_AXIS: Code = dicom.SCT.LongAxis
SHORT_AXIS: Code = dicom.SCT.ShortAxis
LONGEST_3D: Code = dicom.IBSI.Maximum3DDiameterOfAMesh
DEVIATION: Code = dicom.SCT.StandardDeviation
POSITIVE: Code = dicom.SCT.Positive
NEGATIVE: Code = dicom.SCT.Negative

LUNG_PERCENT = private("LUNG-PART", "Part of the finding that lies in the lungs as measured")
LUNG_GAP = private("LUNG-GAP", "Least distance between the finding and the nearest lobe")
NEAREST_LOBE = private("NEAREST-LOBE", "Lobe nearest to a finding beside the lungs")
PLEURA_DISTANCE = private("PLEURA-DIST", "Least distance to the surface of the lung, 0: touches it")
SOLID_VOLUME = private("SOLID-VOL", "Volume of the solid part, from -300 HU")
SOLID_PERCENT = private("SOLID-PCT", "Solid part as percent of the volume, from -300 HU")
GROUND_GLASS_VOLUME = private("GGO-PART-VOL", "Volume of the ground-glass part, -750 to -300 HU")
GROUND_GLASS_PERCENT = private("GGO-PART-PCT", "Ground-glass part as percent of the volume, -750 to -300 HU")
LOBE_PERCENT = private("LOBE-PART", "Part of the finding in the lobe that holds most of it")

STATUS = private("FINDING-STATUS", "Status of the finding")
SUSPECTED = private("SUSPECTED", "Suspected by an algorithm, not diagnosed")
LOBES = private("LOBES-HELD", "Lobes that hold the finding")
ONE_LOBE = private("ONE-LOBE", "One lobe")
SEVERAL_LOBES = private("SEVERAL-LOBES", "Several lobes")
DETECTION = private("TUMOUR-DETECT", "Detection of a lung tumour by an algorithm")
NO_TUMOUR = private("NO-TUMOUR", "No tumour found; this is no all-clear")
NOT_DIAGNOSED = private("NOT-DIAGNOSED", "A finding is what a network outlines, of whatever cause")
NOT_VALIDATED = private("GTV-NOT-VALID", "Outlines: not validated on patients of other hospitals")

SEARCHED_VOLUME = private("SEARCHED-VOL", "Volume of the lung field that was searched")
RULE_VOLUME = private("RULE-LEAST-VOL", "Least volume of a finding, by the detection rule")
RULE_PEAK = private("RULE-LEAST-PEAK", "Least peak probability of a finding, by the rule")
LEFT_OUT_COUNT = private("LEFT-OUT-COUNT", "Number of outlined parts that the rule leaves out")
LEFT_OUT_VOLUME = private("LEFT-OUT-VOL", "Volume of outlined parts that the rule leaves out")

"""Coded concepts of this pipeline."""

from pydicom.sr.coding import Code

from service.domain import codes
from service.domain.analysis import LabelMapKind, Segment
from service.domain.codes import private

KIND = LabelMapKind("emphysema", "AI emphysema", private("OBJ-EMPHYSEMA", "Segmentation of emphysema"))
PULMONARY_EMPHYSEMA = Code("87433001", "SCT", "Pulmonary emphysema")

EMPHYSEMA = Segment(1, "EMPHYSEMA", "Below -950 HU", codes.MORPHOLOGY, PULMONARY_EMPHYSEMA, (86, 180, 233))

INDEX = private("LAA-950", "Lung volume below -950 HU, percent of region")
WIDTH = private("WIDTH-950", "Greatest width of voxels below -950 HU in one slice")
BELOW_950 = private("VOL-950", "Lung volume below -950 HU")

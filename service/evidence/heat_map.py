"""Heat maps as Parametric Maps (PS3.3 A.75): what made a model decide, on the frames of the CT."""

import highdicom as hd
import numpy as np
from pydicom.uid import RLELossless

from service.domain import codes
from service.domain.analysis import GREATEST_HEAT, HeatMap
from service.evidence import equipment
from service.evidence.case import Case
from service.evidence.context import Product
from service.evidence.series import series
from service.evidence.sr import private_scheme

_LABEL, _LONGEST = "INFLUENCE", 64


def parametric_map(product: Product, case: Case, heat_map: HeatMap) -> hd.pm.ParametricMap:
    """A frame for each slice on which there is something; 16 bits, as the standard wants (PS3.3 C.8.32.2)."""
    ct, values = case.ct, heat_map.values
    kept = np.flatnonzero(values.any(axis=(1, 2)))
    planes = ct.volume.get_plane_positions()
    made = hd.pm.ParametricMap(
        source_images=case.sources,
        pixel_array=values[kept].astype(np.uint16),
        pixel_measures=ct.volume.get_pixel_measures(),
        plane_orientation=ct.volume.get_plane_orientation(),
        plane_positions=[planes[number] for number in kept],
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_scale()],
        voi_lut_transformations=[hd.VOILUTTransformation(GREATEST_HEAT / 2, GREATEST_HEAT)],
        transfer_syntax_uid=RLELossless,
        content_label="HEAT_MAP",
        content_description=_description(heat_map.title),
        content_creator_name=equipment.CREATOR,
        contributing_equipment=equipment.contributing_equipment(case.analysis),
        **series(case, product, heat_map.name),
        **equipment.equipment(case.context),
    )
    made.BodyPartExamined = "CHEST"
    made.CodingSchemeIdentificationSequence = [private_scheme()]
    return made


def _description(title: str) -> str:
    """Content Description (LO, 64 characters). A long title is cut, never the use limitation."""
    limitation = f". {codes.RESEARCH_USE.meaning}"
    return f"{title[: _LONGEST - len(limitation)]}{limitation}"


def _scale() -> hd.pm.RealWorldValueMapping:
    """Stored values are 255 times the influence, 0 to 1."""
    return hd.pm.RealWorldValueMapping(
        lut_label=_LABEL,
        lut_explanation=codes.INFLUENCE.meaning,
        unit=codes.UNITY,
        value_range=(0, GREATEST_HEAT),
        slope=1 / GREATEST_HEAT,
        intercept=0.0,
        quantity_definition=codes.INFLUENCE,
    )

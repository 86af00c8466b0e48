"""What is compared with an earlier CT: each finding by its position, and all findings together.

The longest axial diameter is RECIST's; its change in percent is told, and no category of response.
"""

from service.domain import codes
from service.domain.pipeline import Compared, ComparedFindings, ComparisonRules
from service.pipelines.nsclc_gtv.groups import ALL
from service.pipelines.nsclc_gtv.segments import KIND, REST

RULES = ComparisonRules(
    (
        Compared(ALL, "volume_ml", "All findings", codes.MILLILITRE),
        Compared(ALL, "finding_count", "Number of findings", codes.UNITY),
    ),
    ComparedFindings(
        KIND.name,
        (
            Compared("", "longest_diameter_mm", "Longest diameter", codes.MILLIMETRE),
            Compared("", "perpendicular_diameter_mm", "Diameter at right angles", codes.MILLIMETRE),
            Compared("", "volume_ml", "Volume", codes.MILLILITRE),
        ),
        together=frozenset({REST.name}),
    ),
)

"""What is compared with an earlier CT: every finding that lies where one lay then, and all findings together."""

from service.domain import codes
from service.domain.pipeline import Compared, ComparedFindings, ComparisonRules
from service.pipelines.nsclc_gtv.groups import ALL
from service.pipelines.nsclc_gtv.segments import KIND, REST

RULES = ComparisonRules(
    (
        Compared(ALL, "finding_count", "Number of findings", codes.UNITY),
        Compared(ALL, "volume_ml", "All findings", codes.MILLILITRE),
    ),
    ComparedFindings(
        KIND.name,
        (
            Compared("", "longest_diameter_mm", "Longest axial diameter (RECIST)", codes.MILLIMETRE),
            Compared("", "volume_ml", "Volume", codes.MILLILITRE),
            Compared("", "mean_hu", "Mean attenuation", codes.HOUNSFIELD),
        ),
        together=frozenset({REST.name}),
    ),
)

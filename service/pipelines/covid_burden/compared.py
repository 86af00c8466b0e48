"""What is compared with an earlier CT: the burden and the opacities."""

from service.domain import codes
from service.domain.pipeline import Compared, ComparisonRules
from service.pipelines.shared.opacities_compared import VOLUMES

RULES = ComparisonRules(
    (Compared("BURDEN", "burden_percent", "Pneumonia burden", codes.PERCENT, is_headline=True), *VOLUMES)
)

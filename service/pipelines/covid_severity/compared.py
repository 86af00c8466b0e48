"""What is compared with an earlier CT: the score and the opacities."""

from service.domain import codes
from service.domain.pipeline import Compared, ComparisonRules
from service.pipelines.shared.opacities_compared import IN_PERCENT, VOLUMES

RULES = ComparisonRules(
    (Compared("SEVERITY", "score", "CT severity score, 0-25", codes.SCORE, is_headline=True), IN_PERCENT, *VOLUMES)
)

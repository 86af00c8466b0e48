"""What is compared with an earlier CT: all lesions together. Single ones part and merge within days."""

from service.domain import codes
from service.domain.pipeline import Compared, ComparisonRules

RULES = ComparisonRules(
    (
        Compared("LESIONS", "lesion_percent", "Lung lesions, part of the lungs", codes.PERCENT, is_headline=True),
        Compared("LESIONS", "lesion_ml", "Lung lesions", codes.MILLILITRE),
        Compared("LESIONS", "lesion_count", "Number of lesions", codes.UNITY),
        Compared("LESIONS", "ground_glass_ml", "Ground-glass opacity", codes.MILLILITRE),
        Compared("LESIONS", "high_opacity_ml", "High opacity", codes.MILLILITRE),
    )
)

"""What of the opacities is compared with an earlier CT, for pipelines whose groups are those of `opacity_groups`."""

from service.domain import codes
from service.domain.pipeline import Compared

IN_PERCENT = Compared("LUNG_TOTAL", "opacity_percent", "Opacity, part of the lungs", codes.PERCENT)
VOLUMES = (
    Compared("LUNG_TOTAL", "volume_ml", "Volume of both lungs", codes.MILLILITRE),
    Compared("LUNG_TOTAL", "opacity_ml", "Opacity", codes.MILLILITRE),
    Compared("TOTAL_GROUND_GLASS", "volume_ml", "Ground-glass opacity", codes.MILLILITRE),
    Compared("TOTAL_HIGH_OPACITY", "volume_ml", "High opacity", codes.MILLILITRE),
)

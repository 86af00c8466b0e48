"""What is compared with an earlier CT: the densities of both lungs, unless they are not comparable.

The volume of the lungs comes first: density follows the depth of breath.
"""

from service.domain import codes
from service.domain.pipeline import Compared, ComparisonRules
from service.pipelines.lung_density import codes as own
from service.pipelines.lung_density.measure import Measure

_LAA, _PERC15, _MEAN, _HAA = (
    own.COMPARABILITY[one].meaning for one in (Measure.LAA, Measure.PERC15, Measure.MEAN, Measure.HAA)
)

RULES = ComparisonRules(
    (
        Compared("LUNG_TOTAL", "volume_ml", "Volume of both lungs", codes.MILLILITRE),
        Compared("LUNG_TOTAL", "laa_950_percent", "LAA-950", codes.PERCENT, _LAA, is_headline=True),
        Compared("LUNG_TOTAL", "perc15_hu", "Perc15", codes.HOUNSFIELD, _PERC15),
        Compared("LUNG_TOTAL", "pd15_adjusted_g_per_l", "Perc15, adjusted to capacity", codes.GRAM_PER_LITRE, _PERC15),
        Compared("LUNG_TOTAL", "mean_hu", "Mean attenuation", codes.HOUNSFIELD, _MEAN),
        Compared("LUNG_TOTAL", "haa_percent", "High attenuation", codes.PERCENT, _HAA),
    )
)

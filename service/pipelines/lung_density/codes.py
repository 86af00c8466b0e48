"""Coded concepts of this pipeline. DICOM, SNOMED CT and IBSI have no code for what is private here."""

from pydicom.sr.coding import Code

from service.domain.codes import private
from service.pipelines.lung_density.measure import Measure

LAA = private("LAA-950", "Lung volume below -950 HU, percent of region")
HAA = private("HAA-600-250", "Lung volume from -600 to -250 HU, percent of region")
PERC15 = private("PERC15", "15th percentile of lung attenuation (Perc15)")
PD15_ADJUSTED = private("PD15-ADJ", "Perc15 as density, adjusted to predicted lung capacity")
OF_CAPACITY = private("VOL-OF-TLC", "Volume of both lungs / predicted total lung capacity")

TRACHEA_AIR = private("TRACHEA-AIR", "Air in the trachea, median attenuation")
NOISE = private("NOISE-AIR", "Noise of the air in the trachea, standard deviation")

NOT_COMPARABLE = private("NOT-COMPARABLE", "Not comparable with other CTs")
LAA_COMPARABILITY = private("LAA-950-COMP", "Comparability of LAA-950")
PERC15_COMPARABILITY = private("PERC15-COMP", "Comparability of Perc15")
MEAN_COMPARABILITY = private("MEAN-HU-COMP", "Comparability of the mean attenuation")
HAA_COMPARABILITY = private("HAA-COMP", "Comparability of HAA")
COMPARABILITY: dict[Measure, Code] = {
    Measure.LAA: LAA_COMPARABILITY,
    Measure.PERC15: PERC15_COMPARABILITY,
    Measure.MEAN: MEAN_COMPARABILITY,
    Measure.HAA: HAA_COMPARABILITY,
}
"""What is told to be not comparable, by measure."""

NOT_CALIBRATED = private("NOT-CALIBRATED", "Density is not calibrated by a phantom")

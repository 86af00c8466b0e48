"""Coded concepts of this pipeline."""

from pydicom.sr.coding import Code

from service.domain.codes import private
from service.pipelines.covid_triage.model_roles import Infection

LESION_VOLUME = private("LESION-VOL", "Volume of lesions within lung region")
LESION_PERCENT = private("LESION-PCT", "Volume of lesions as percent of lung region volume")
LESION_COUNT = private("LESION-COUNT", "Number of lesions, connected parts of 0.1 mL or more")
LARGEST_LESION = private("LESION-MAX", "Volume of the largest lesion")
INFECTION = private("LESION-INFECT", "Probability of infection, experimental classifier")
LESION_CLASS = private("LESION-CLASS", "Class of the lesion with the greatest infection probability")
NO_LESION = private("NO-LESION", "No lesion found: nothing to classify")
DENSE_LUNG = private("NO-CLASS-DENSE", "Lung as dense as in shallow breathing: no class is given")

CLASS_OF: dict[Infection, Code] = {
    Infection.COVID_19: private("LC-COVID19", Infection.COVID_19),
    Infection.OTHER: private("LC-OTHER", Infection.OTHER),
    Infection.NONE: private("LC-NONE", Infection.NONE),
}
"""The decision for each class."""

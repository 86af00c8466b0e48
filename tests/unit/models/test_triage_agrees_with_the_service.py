"""The classifier is trained on the lesions and regions that the service shows it."""

from models.triage_infection import regions, spec
from models.triage_lesion.spec import SPACING_MM
from service.pipelines.covid_triage import infection, lesions, model_roles


def test_lesions_and_regions_are_cut_as_the_service_cuts_them() -> None:
    assert lesions.LEAST_ML == regions.LEAST_ML
    assert infection.MOST_CLASSIFIED == regions.MOST
    assert infection.MARGIN_MM == spec.MARGIN_MM
    assert model_roles.SPACING_MM == SPACING_MM

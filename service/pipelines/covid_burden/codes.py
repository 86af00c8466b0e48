"""Coded concepts of this pipeline."""

from service.domain.codes import private

BURDEN = private("BURDEN", "Pneumonia burden: ground-glass plus high opacity, % of lungs")
AGREEMENT = private("AGREE-ALONE", "Dice of opacities found with and without the slices around")
GRADIENT = private("GRADIENT", "Mean attenuation of clear lung: back third minus front third")
CLEAR_LUNG = private("CLEAR-LUNG", "Attenuation of lung without opacity")
AT_DOMES = private("OPAC-DOMES", "Part of the opacity within 30 mm of the diaphragm, percent")

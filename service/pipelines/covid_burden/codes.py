"""Coded concepts of this pipeline."""

from service.domain.codes import private

BURDEN = private("BURDEN", "Pneumonia burden: ground-glass plus high opacity, % of lungs")
AGREEMENT = private("AGREE-TWO", "Dice of opacities of two networks, with a slack of 20 mL")
GRADIENT = private("GRADIENT", "Clear lung, median attenuation: back minus front third")
CLEAR_LUNG = private("CLEAR-LUNG", "Clear lung, median attenuation")
AT_DOMES = private("OPAC-DOMES", "Part of the opacity within 30 mm of the diaphragm, percent")

"""Coded concepts of this pipeline."""

from service.domain.codes import private

BURDEN = private("BURDEN", "Pneumonia burden: ground-glass plus high opacity, % of lungs")

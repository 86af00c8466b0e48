"""Rollout of model versions: acceptance, trial, comparison, choice for each study."""

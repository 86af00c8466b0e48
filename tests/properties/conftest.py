"""Profiles of hypothesis: `--hypothesis-profile=fuzz` tries far more examples than the suite."""

from hypothesis import settings

settings.register_profile("fuzz", max_examples=1000, deadline=None)

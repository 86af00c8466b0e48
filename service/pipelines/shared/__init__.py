"""Shared by several pipelines: lungs and lobes by the installed models, slices shown to a model."""

"""What several pipelines use: lungs and lobes by the installed models, slices shown to a model."""

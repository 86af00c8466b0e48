"""`covid-triage`: lung lesions in 3D patches, the infection probability where a classifier is installed, and a rank."""

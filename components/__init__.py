"""The stages of a pipeline: what a component and an artifact are, and one file a stage."""

"""What all stages stand on: components, parameters, artifacts, transformed data."""

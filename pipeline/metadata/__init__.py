"""The metadata store, and what it knows of runs and lineage."""

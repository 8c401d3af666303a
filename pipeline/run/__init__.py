"""Builds and runs a pipeline: runner, executor, lock, log, record."""

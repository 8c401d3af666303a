"""Errors that tell users what to change."""


class BadDataError(Exception):
    """The data cannot be used: too many bad records, an empty split, anomalies."""

"""The names of the models that a run trains."""

SERVED = "served"
"""Name of the model that is trained on all ratings."""


def fold_name(fold: int) -> str:
    """Returns the name of the model that is trained without the test ratings of a fold from 0."""
    return f"fold_{fold + 1}"

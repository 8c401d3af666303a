"""The names of the networks that a run trains, beside those of one task, such as `qa1`."""

ROUTER = "router"
"""The classifier that tells a question's task."""

JOINT = "joint"
"""One network for all tasks."""

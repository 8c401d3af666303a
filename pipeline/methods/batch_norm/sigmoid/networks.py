"""The networks that a run trains: some with batch normalization, some without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WITH, WITHOUT = "batch_norm", "plain"


def of_kind(models: Mapping[str, Any], kind: str) -> list[Any]:
    """Returns the networks of a kind."""
    return [model for name, model in models.items() if name.startswith(f"{kind}_")]

"""The networks that a run trains, by the parameters `join` and `compare`."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from typing import Any

MAIN = "facenet"
"""The network of the model; of several that are joined, what their names begin with."""

METRIC, COMPONENTS = "lmnn", "principal_components"
"""The large margin metric of the baselines, and its layer of principal components."""


def networks(parameters: Any) -> dict[str, Any]:
    """Returns the parameters of each network by its name: first the one or those of the model.

    Args:
        parameters: those of the Trainer, as attributes.
    """

    def changed(entry: Mapping[str, Any]) -> Any:
        return types.SimpleNamespace(**{**vars(parameters), "join": [], "compare": [], **entry})

    by_name = {MAIN: parameters}
    if parameters.join:
        joined = [parameters, *map(changed, parameters.join)]
        by_name = {f"{MAIN}-{number}": network for number, network in enumerate(joined, start=1)}
    for entry in parameters.compare:
        text = "-".join(f"{name}-{value}" for name, value in entry.items())
        by_name[re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-")] = changed(entry)
    return by_name

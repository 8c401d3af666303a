"""The model that the networks of a run make up."""

from __future__ import annotations

import re
from collections.abc import Mapping

import keras

from ....models.facenet import joined_network
from .networks import MAIN


def joined_model(models: Mapping[str, keras.Model]) -> keras.Model:
    """Returns the model that is measured and served: the first network, or all that are joined."""
    parts = [model for name, model in models.items() if re.fullmatch(rf"{MAIN}-\d+", name)]
    return joined_network(parts) if parts else models[MAIN]

"""Loads trained Keras models in a process that has not imported their classes."""

from __future__ import annotations

import importlib
import io
import json
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..io import filesystem
from .artifacts import Model

if TYPE_CHECKING:
    import keras

_CONFIG = "config.json"


def load_models(model: Model) -> dict[str, keras.Model]:
    """Loads the model of every fit.

    Keras finds a registered class only once its module was imported, which has happened in the
    process that trained but not in one that finds the Trainer cached. The modules are named in
    the `.keras` files and are imported first.

    Args:
        model: the Trainer's artifact, with the property `fits`.

    Returns:
        Compiled models by the fit's name.
    """
    import keras

    models = {}
    for fit in model.properties["fits"]:
        path = model.model_path(fit)
        for module in modules_of(path):
            importlib.import_module(module)
        models[fit] = keras.saving.load_model(path)
    return models


def modules_of(path: str) -> list[str]:
    """Returns the modules of the registered classes that a `.keras` file names, sorted."""
    with filesystem.open_file(path, "rb") as reader:
        # A zip archive is read from its end, to which remote files cannot always seek.
        source = io.BytesIO(reader.read()) if filesystem.is_remote(path) else reader
        with zipfile.ZipFile(source) as archive:
            config = json.loads(archive.read(_CONFIG))
    return sorted(set(_modules(config)))


def _modules(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        if config.get("registered_name") and isinstance(config.get("module"), str):
            module = config["module"]
            if module != "builtins" and module.split(".")[0] != "keras":
                yield module
        for value in config.values():
            yield from _modules(value)
    elif isinstance(config, list):
        for value in config:
            yield from _modules(value)

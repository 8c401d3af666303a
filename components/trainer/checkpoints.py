"""Checkpoints of a fit: complete or absent, with everything a later epoch depends on."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from ..io import filesystem
from .fit import DONE, MODELS

_STATE = "state.json"
_SEEDS = "seeds.npz"
_BEST = "best.weights.h5"
_BACKUP = "backup"
_RESULT = "fit.json"


class Checkpoints:
    """The checkpoints of one fit.

    Keras' `BackupAndRestore` saves and restores weights, optimizer and epoch. It overwrites
    its only files, so that a kill at that moment leaves the weights of one epoch with the number of
    another; and it omits the seed generators (dropout). So each backup here is a new folder
    `epoch-<n>/`, published by one rename, with the seed generators' state, the best epoch's weights
    and the logs in it. On object stores, which have no rename, the file `state.json` comes last.

    Args:
        folder: string. The folder of the fit's checkpoints.
    """

    def __init__(self, folder: str):
        self.folder = folder
        filesystem.make_dirs(folder)
        for name in filesystem.list_dir(folder):
            if name.startswith(".tmp-"):
                filesystem.remove_tree(filesystem.join(folder, name))

    def latest(self) -> dict[str, Any] | None:
        """Returns the newest checkpoint's state, with its `name`, or `None`."""
        for name in sorted(self._names(), reverse=True):
            path = filesystem.join(self.folder, name, _STATE)
            if filesystem.exists(path):
                with filesystem.open_file(path) as reader:
                    return {**json.load(reader), "name": name}
        return None

    def keep(
        self, model: keras.Model, best_weights: list[np.ndarray], state: dict[str, Any]
    ) -> None:
        """Writes a checkpoint after an epoch and removes the ones before."""
        name = f"epoch-{state['epoch']:08d}"
        earlier = [checkpoint for checkpoint in self._names() if checkpoint != name]
        with self._publishing(name, _STATE, state) as folder:
            backup = keras.callbacks.BackupAndRestore(os.path.join(folder, _BACKUP))
            backup.set_model(model)
            backup.on_epoch_end(state["epoch"] - 1)
            np.savez(
                os.path.join(folder, _SEEDS),
                *(np.asarray(variable) for variable in _seed_variables(model)),
            )
            current = model.get_weights()
            model.set_weights(best_weights)
            model.save_weights(os.path.join(folder, _BEST))
            model.set_weights(current)
        for checkpoint in earlier:
            filesystem.remove_tree(filesystem.join(self.folder, checkpoint))

    def restore(self, model: keras.Model, state: dict[str, Any]) -> None:
        """Restores a model and its `fit` to the state of the checkpoint."""
        with self._local(state["name"]) as folder:
            backup = keras.callbacks.BackupAndRestore(os.path.join(folder, _BACKUP))
            backup.set_model(model)
            backup.on_train_begin()
            with np.load(os.path.join(folder, _SEEDS)) as seeds:
                for index, variable in enumerate(_seed_variables(model)):
                    variable.assign(seeds[f"arr_{index}"])

    def best_weights(self, model: keras.Model, state: dict[str, Any]) -> list[np.ndarray]:
        """Reads the best epoch's weights into the model and returns them."""
        with self._local(state["name"]) as folder:
            if model.optimizer is not None and not model.optimizer.built:
                model.optimizer.build(model.trainable_variables)
            model.load_weights(os.path.join(folder, _BEST))
        return [np.array(weight) for weight in model.get_weights()]

    def finish(self, model: keras.Model, name: str, result: dict[str, Any]) -> dict[str, Any]:
        """Saves the trained model and its result, and removes the checkpoints."""
        with self._publishing(DONE, _RESULT, result) as folder:
            os.mkdir(os.path.join(folder, MODELS))
            model.save(os.path.join(folder, MODELS, f"{name}.keras"))
        for checkpoint in self._names():
            filesystem.remove_tree(filesystem.join(self.folder, checkpoint))
        return result

    def finished(self) -> dict[str, Any] | None:
        """Returns the result that `finish` saved, or `None`."""
        path = filesystem.join(self.folder, DONE, _RESULT)
        if not filesystem.exists(path):
            return None
        with filesystem.open_file(path) as reader:
            return json.load(reader)

    def _names(self) -> list[str]:
        return [name for name in filesystem.list_dir(self.folder) if name.startswith("epoch-")]

    @contextmanager
    def _publishing(self, name: str, last: str, value: dict[str, Any]) -> Iterator[str]:
        target = filesystem.join(self.folder, name)
        remote = filesystem.is_remote(self.folder)
        folder = tempfile.mkdtemp(prefix=".tmp-", dir=None if remote else self.folder)
        try:
            yield folder
            filesystem.remove_tree(target)
            if remote:
                filesystem.copy_tree(folder, target)
            path = filesystem.join(target if remote else folder, last)
            with filesystem.open_file(path, "w") as writer:
                json.dump(value, writer)
            if not remote:
                filesystem.rename(folder, target)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _local(self, name: str) -> Iterator[str]:
        path = filesystem.join(self.folder, name)
        if not filesystem.is_remote(path):
            yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            filesystem.copy_tree(path, folder)
            yield folder


def _seed_variables(model: keras.Model) -> list[keras.Variable]:
    # `weights` and everything that Keras saves omit the seed generators.
    return [variable for variable in model.variables if variable.name == "seed_generator_state"]

"""A pass in inference mode, except that layers normalize by the statistics of each batch."""

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from .. import backend
from ..types import Tensor
from .batch_normalization import BatchNormalization


def layers_in_training(
    model: keras.Layer, batch: Any
) -> tuple[list[BatchNormalization], list[BatchNormalization]]:
    """Returns the `BatchNormalization`s that use the batch in training, and the rest.

    Args:
        model: a model or layer; a call builds what is not built.
        batch: the inputs of one batch.
    """
    batch = _tensors(batch)
    if not all(layer.built for layer in model._flatten_layers()):
        model(batch, training=False)
    candidates = [each for each in model._flatten_layers() if isinstance(each, BatchNormalization)]
    observer = _TrainingObserver()
    with _observed(candidates, observer):
        backend.trace(_stateless(model, lambda x: model(x, training=True)), _values(model), batch)
    layers = [layer for layer in candidates if id(layer) in observer.seen]
    return layers, [layer for layer in candidates if id(layer) not in observer.seen]


def compiled_pass(
    model: keras.Layer, layers: list[BatchNormalization]
) -> Callable[[Any], list[list[list[Tensor]]]]:
    """Returns a function from the inputs of a batch to the statistics that the layers compute.

    It returns one list per layer, with `[count, mean, variance]` of each call of the layer, each
    `(groups, channels)`, the variance biased. Nothing in the model changes.
    """

    def statistics(batch):
        observer = _StatisticsObserver(layers)
        with _observed(layers, observer):
            model(batch, training=False)
        return observer.calls

    run = backend.compiled(_stateless(model, statistics))
    values = _values(model)
    return lambda batch: run(values, _tensors(batch))


def _tensors(batch):
    def convert(value):
        if hasattr(value, "__array__") and not ops.is_tensor(value):
            return ops.convert_to_tensor(np.asarray(value))
        return value

    return tree.map_structure(convert, batch)


def _values(model):
    return [ops.convert_to_tensor(variable) for variable in model.variables]


def _stateless(model, function):
    """Returns `function` with the values of the model's variables as its first argument."""

    def stateless(values, *arguments):
        mapping = zip(model.variables, values, strict=True)
        with keras.StatelessScope(state_mapping=mapping):
            return function(*arguments)

    return stateless


@contextlib.contextmanager
def _observed(layers, observer):
    for layer in layers:
        layer._observer = observer
    try:
        yield
    finally:
        for layer in layers:
            layer._observer = None


class _TrainingObserver:
    """Collects the layers that use the batch in training."""

    def __init__(self):
        self.seen = set()

    def uses_batch(self, layer, training):
        if training:
            self.seen.add(id(layer))
        return training

    def record(self, layer, batch):
        """Does nothing."""


class _StatisticsObserver:
    """Makes layers use the batch, and collects its statistics."""

    def __init__(self, layers):
        self.numbers = {id(layer): number for number, layer in enumerate(layers)}
        self.calls: list[list[list[Tensor]]] = [[] for _ in layers]

    def uses_batch(self, layer, training):
        return True

    def record(self, layer, batch):
        channels = layer.moving_mean.shape[0]
        count = ops.broadcast_to(ops.cast(batch.count, batch.mean.dtype), ops.shape(batch.mean))
        self.calls[self.numbers[id(layer)]].append(
            [ops.reshape(value, (-1, channels)) for value in (count, batch.mean, batch.variance)]
        )

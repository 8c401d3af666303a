"""Copies of layers, with their names and weights."""

import inspect
from typing import Any

import keras


def copy_layer(layer: keras.Operation, **changes: Any) -> keras.Operation:
    """Returns a new layer of the same class, configuration and name, without weights yet.

    Args:
        layer: a layer or another operation of a model's graph.
        **changes: entries of the configuration to replace.

    Raises:
        ValueError: if the layer cannot be recreated from its configuration.
    """
    try:
        config = {**layer.get_config(), **changes}
        if type(layer) is keras.layers.Lambda:
            new = _copy_lambda(layer, config)
        else:
            activation = getattr(layer, "activation", None)
            if isinstance(config.get("activation"), dict) and inspect.isfunction(activation):
                # The function itself, so that it need not be registered.
                config["activation"] = activation
            new = type(layer).from_config(config)
    except Exception as error:
        raise cannot_copy(layer, error) from error
    new.name = layer.name
    return new


def cannot_copy(layer: keras.Operation, error: Exception) -> ValueError:
    """Returns the error to raise if a layer cannot be recreated from its configuration."""
    return ValueError(
        "fold_batch_norm expects layers that can be recreated from their configuration; give "
        "the class a get_config and register what it uses with "
        "keras.saving.register_keras_serializable. "
        f"Received: layer {layer.name!r} of class {type(layer).__name__}: {error}"
    )


def copy_state(layer: keras.Operation, new: keras.Operation) -> None:
    """Copies the weights of a layer, and its learned vocabulary, into its built copy."""
    if not isinstance(layer, keras.Layer):
        return
    new.set_weights(layer.get_weights())
    if hasattr(layer, "set_vocabulary") and new.get_vocabulary() != layer.get_vocabulary():
        new.set_vocabulary(layer.get_vocabulary())
    if hasattr(new, "finalize_state"):
        new.finalize_state()


def _copy_lambda(layer, config):
    # Keras stores a Python lambda as byte code that has lost its globals, and does not load it.
    config.update(function=layer.function, mask=layer.mask, arguments=layer.arguments)
    if "output_shape" in config:
        config["output_shape"] = layer._output_shape
    return keras.layers.Lambda(**config)

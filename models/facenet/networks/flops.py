"""Counts the multiply-adds of a model's layers, as papers on networks for images state them."""

import math

import keras

from .maxout import Maxout
from .unit_embedding import UnitEmbedding

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_DENSE = (keras.layers.Dense, Maxout, UnitEmbedding)
# These may have weights of two or more dimensions, but compute no sums of products.
_WITHOUT_PRODUCTS = (
    keras.layers.Embedding,
    keras.layers.LayerNormalization,
    keras.layers.Normalization,
    keras.layers.PReLU,
)


def multiply_adds(model: keras.Model, bias: bool = True) -> dict[str, int]:
    """Counts the multiply-adds that each layer takes for one example.

    A convolution takes as many as its kernel and bias have elements at each position of its output,
    a fully connected layer as many as its kernel and bias have. This is what FaceNet calls FLOPS
    (Schroff et al. 2015, arXiv 1503.03832, Tables 1 and 2, which count the bias); others count
    twice as many, a multiplication and an addition each. Pooling, normalization, nonlinearities,
    products of activations with one another and filters that are not weights (`GaborMagnitudes`)
    count nothing.

    Example:

    ```python
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, padding="same")])
    sum(multiply_adds(model).values())  # 7168: 8·8 positions, 3·3·3·4 + 4 weights
    ```

    Args:
        model: a Functional or built Sequential `keras.Model` whose input has a fixed size. Known
            layers: Conv, DepthwiseConv, SeparableConv, Dense, Maxout, UnitEmbedding, and nested
            models of these.
        bias: bool, whether adding a bias counts.

    Returns:
        A dict from the layer's name to an int above 0, in the order of computation; layers of a
        nested model are named `"model/layer"`. A layer that is called twice counts twice.

    Raises:
        ValueError: the model is not a graph of layers, a layer with a kernel is none of the known
            ones, or the size of a convolution's output is unknown.
    """
    counts: dict[str, int] = {}
    for layer, output in _calls(model):
        if isinstance(layer, keras.Model):
            inside = multiply_adds(layer, bias)
            added = {f"{layer.name}/{name}": count for name, count in inside.items()}
        else:
            added = {layer.name: _of_layer(layer, output, bias)}
        for name, count in added.items():
            if count:
                counts[name] = counts.get(name, 0) + count
    return counts


def _calls(model):
    """Yields every call of a layer in the graph as (layer, shape of its output), in order."""
    if isinstance(model, keras.Sequential) and model.built:
        yield from (
            (layer, layer.compute_output_shape(layer.input.shape)) for layer in model.layers
        )
        return
    if not isinstance(model, keras.Function):
        raise ValueError(
            "`model` must be a Functional model, or a Sequential one that is built. "
            f"Received: model={model}"
        )
    for _, nodes in sorted(model._nodes_by_depth.items(), reverse=True):
        for node in nodes:
            if isinstance(node.operation, keras.layers.Layer):
                yield node.operation, node.outputs[0].shape


def _of_layer(layer, output, bias):
    kernels, channels_first = _kernels(layer), _channels_first(layer)
    if not kernels:
        return 0
    sizes = output[2:] if channels_first else output[1:-1]
    if None in sizes:
        raise ValueError(
            "The size of every convolution's output must be known. Give the model's input a fixed "
            f"size. Received: the layer '{layer.name}' with an output of shape {tuple(output)}"
        )
    positions = math.prod(sizes)
    weights = sum(math.prod(kernel.shape) for kernel in kernels)
    if bias and layer.bias is not None:
        weights += math.prod(layer.bias.shape)
    return positions * weights


def _kernels(layer):
    """Returns the kernels that a layer applies at every position of its output."""
    if isinstance(layer, _SEPARABLE):
        return [layer.depthwise_kernel, layer.pointwise_kernel]
    if isinstance(layer, (*_CONVOLUTIONS, *_DEPTHWISE, *_DENSE)):
        return [layer.kernel]
    unknown = [weight for weight in layer.weights if len(weight.shape) > 1]
    if unknown and not isinstance(layer, _WITHOUT_PRODUCTS):
        raise ValueError(
            "Every layer with a kernel must be a Conv, DepthwiseConv, SeparableConv, Dense, Maxout "
            f"or UnitEmbedding. Received: the layer '{layer.name}' of type {type(layer).__name__}, "
            f"with weights of shape {[tuple(weight.shape) for weight in unknown]}"
        )
    return []


def _channels_first(layer):
    return getattr(layer, "data_format", None) == "channels_first"

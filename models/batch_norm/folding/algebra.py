"""The algebra of folding: a batch normalization's affine map and the linear layers that take it."""

from __future__ import annotations

import abc
import copy
import math

import keras
import numpy as np
from keras import ops

from ..batch_normalization import BatchNormalization

BATCH_NORMALIZATIONS = (BatchNormalization, keras.layers.BatchNormalization)


def affine_of(batch_norm: keras.Layer) -> tuple[np.ndarray, np.ndarray]:
    """Returns the affine map that a batch normalization is at inference, in float64.

    `BN(x) = s·x + t` with `s = γ / √(σ² + ε)` and `t = β − μ·s` (Ioffe & Szegedy 2015,
    section 3.1 and Algorithm 2, line 11).

    Args:
        batch_norm: a built batch normalization of Keras or of this package.

    Returns:
        `(s, t)`: two float64 arrays, one value per channel.
    """
    scale = 1 / np.sqrt(_numpy(batch_norm.moving_variance) + batch_norm.epsilon)
    if batch_norm.scale:
        scale = scale * _numpy(batch_norm.gamma)
    shift = -_numpy(batch_norm.moving_mean) * scale
    if batch_norm.center:
        shift = shift + _numpy(batch_norm.beta)
    return scale, shift


class LinearTransform(abc.ABC):
    """A linear layer's weights in float64, and how an affine map enters them.

    Args:
        layer: a built layer of one of the classes that `kind_of` knows. It is only read.
    """

    kernels: tuple[str, ...] = ("kernel",)

    def __init__(self, layer: keras.Layer) -> None:
        self.layer = layer
        self.weights = {name: _numpy(getattr(layer, name)) for name in self.kernels}
        self.bias = _numpy(layer.bias) if layer.use_bias else np.zeros(self.outputs)

    @property
    def outputs(self) -> int:
        """The number of output channels."""
        return self.weights[self.kernels[-1]].shape[-1]

    def followed_by(self, scale: np.ndarray, shift: np.ndarray) -> LinearTransform:
        """Returns the transform that computes `scale · self(x) + shift`."""
        new = copy.copy(self)
        new.weights = self.scale_outputs(scale)
        new.bias = self.bias * scale + shift
        return new

    def preceded_by(self, scale: np.ndarray, shift: np.ndarray) -> LinearTransform:
        """Returns the transform that computes `self(scale · x + shift)`; see `padding`."""
        new = copy.copy(self)
        new.weights = self.scale_inputs(scale)
        new.bias = self.bias + self.respond(shift)
        return new

    def scale_outputs(self, scale: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the kernels with each output channel multiplied."""
        return {"kernel": self.weights["kernel"] * scale}

    @abc.abstractmethod
    def scale_inputs(self, scale: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the kernels with each input channel multiplied."""

    @abc.abstractmethod
    def respond(self, shift: np.ndarray) -> np.ndarray:
        """Returns the output, without bias, to inputs that are `shift` at every position."""

    def padding(self) -> str | None:
        """Returns why an input that is the same everywhere gives unequal outputs, or None."""
        return None

    def overflow(self) -> str | None:
        """Returns the dtype that cannot hold the weights, or None."""
        halves = {self.layer.variable_dtype, self.layer.compute_dtype} & {"float16"}
        dtype = "float16" if halves else "float32"
        for value in (*self.weights.values(), self.bias):
            if not np.all(np.abs(value) <= np.finfo(dtype).max):
                return dtype
        return None

    def assign(self, layer: keras.Layer) -> None:
        """Writes the weights into a layer of the same shape, with a bias."""
        for name, value in self.weights.items():
            getattr(layer, name).assign(value)
        layer.bias.assign(self.bias)


class DenseTransform(LinearTransform):
    """`keras.layers.Dense`: kernel (inputs, outputs)."""

    def scale_inputs(self, scale: np.ndarray) -> dict[str, np.ndarray]:
        """Multiplies the rows."""
        return {"kernel": self.weights["kernel"] * scale[:, None]}

    def respond(self, shift: np.ndarray) -> np.ndarray:
        """Multiplies by the kernel."""
        return shift @ self.weights["kernel"]


class ConvolutionTransform(LinearTransform):
    """`keras.layers.Conv1D`, `2D`, `3D`: kernel (taps…, inputs / groups, outputs)."""

    def _by_kernel(self, values):
        """Returns one value per kernel column: group `g` of outputs reads group `g` of inputs."""
        groups = values.reshape(self.layer.groups, -1)
        return np.repeat(groups, self.outputs // self.layer.groups, axis=0).T

    def scale_inputs(self, scale: np.ndarray) -> dict[str, np.ndarray]:
        """Multiplies each tap's columns."""
        return {"kernel": self.weights["kernel"] * self._by_kernel(scale)}

    def respond(self, shift: np.ndarray) -> np.ndarray:
        """Sums over taps and the group's inputs."""
        kernel = self.weights["kernel"]
        return (kernel * self._by_kernel(shift)).reshape(-1, self.outputs).sum(0)

    def padding(self) -> str | None:
        """Zero padding: at the borders some taps see zeros instead of the shift."""
        if self.layer.padding == "valid" or math.prod(self.layer.kernel_size) == 1:
            return None
        return f"pads its input with zeros (padding={self.layer.padding!r})"


class DepthwiseTransform(ConvolutionTransform):
    """`keras.layers.DepthwiseConv1D`, `2D`: kernel (taps…, inputs, multiplier)."""

    @property
    def outputs(self) -> int:
        """The number of output channels: inputs times multiplier, input-major."""
        return math.prod(self.weights["kernel"].shape[-2:])

    def scale_outputs(self, scale: np.ndarray) -> dict[str, np.ndarray]:
        """Multiplies each input's own outputs."""
        kernel = self.weights["kernel"]
        return {"kernel": kernel * scale.reshape(kernel.shape[-2:])}

    def scale_inputs(self, scale: np.ndarray) -> dict[str, np.ndarray]:
        """Multiplies all outputs of an input."""
        return {"kernel": self.weights["kernel"] * scale[:, None]}

    def respond(self, shift: np.ndarray) -> np.ndarray:
        """Sums over taps."""
        return (self.weights["kernel"] * shift[:, None]).reshape(-1, self.outputs).sum(0)


class SeparableTransform(ConvolutionTransform):
    """`keras.layers.SeparableConv1D`, `2D`: a depthwise kernel, then a pointwise one."""

    kernels = ("depthwise_kernel", "pointwise_kernel")

    def scale_outputs(self, scale: np.ndarray) -> dict[str, np.ndarray]:
        """Multiplies the pointwise kernel's columns."""
        return {**self.weights, "pointwise_kernel": self.weights["pointwise_kernel"] * scale}

    def scale_inputs(self, scale: np.ndarray) -> dict[str, np.ndarray]:
        """Multiplies the depthwise kernel's inputs."""
        kernel = self.weights["depthwise_kernel"]
        return {**self.weights, "depthwise_kernel": kernel * scale[:, None]}

    def respond(self, shift: np.ndarray) -> np.ndarray:
        """Sums the depthwise kernel over taps, then multiplies by the pointwise kernel."""
        pointwise = self.weights["pointwise_kernel"].reshape(-1, self.outputs)
        middle = self.weights["depthwise_kernel"] * shift[:, None]
        return middle.reshape(-1, len(pointwise)).sum(0) @ pointwise


class TransposedTransform(LinearTransform):
    """`keras.layers.Conv1DTranspose`, `2D`, `3D`: kernel (taps…, outputs, inputs)."""

    @property
    def outputs(self) -> int:
        """The number of output channels."""
        return self.weights["kernel"].shape[-2]

    def scale_outputs(self, scale: np.ndarray) -> dict[str, np.ndarray]:
        """Multiplies the rows."""
        return {"kernel": self.weights["kernel"] * scale[:, None]}

    def scale_inputs(self, scale: np.ndarray) -> dict[str, np.ndarray]:
        """Multiplies the columns."""
        return {"kernel": self.weights["kernel"] * scale}

    def respond(self, shift: np.ndarray) -> np.ndarray:
        """Sums over taps and inputs, which is correct only if `padding` returns None."""
        return (self.weights["kernel"] @ shift).reshape(-1, self.outputs).sum(0)

    def padding(self) -> str | None:
        """Outputs near the border, or between strides, sum fewer taps than the rest."""
        if math.prod(self.layer.kernel_size) == math.prod(self.layer.strides) == 1:
            return None
        return "is a transposed convolution, whose outputs do not all sum the same taps"


KINDS: dict[type, type[LinearTransform]] = {
    keras.layers.Dense: DenseTransform,
    keras.layers.Conv1D: ConvolutionTransform,
    keras.layers.Conv2D: ConvolutionTransform,
    keras.layers.Conv3D: ConvolutionTransform,
    keras.layers.DepthwiseConv1D: DepthwiseTransform,
    keras.layers.DepthwiseConv2D: DepthwiseTransform,
    keras.layers.SeparableConv1D: SeparableTransform,
    keras.layers.SeparableConv2D: SeparableTransform,
    keras.layers.Conv1DTranspose: TransposedTransform,
    keras.layers.Conv2DTranspose: TransposedTransform,
    keras.layers.Conv3DTranspose: TransposedTransform,
}


def kind_of(layer: keras.Layer) -> type[LinearTransform] | None:
    """Returns the transform class of a layer, or None if no batch norm can be folded into it.

    Subclasses are excluded, because they may compute something else.
    """
    return KINDS.get(type(layer))


def channel_axis(layer: keras.Layer, rank: int) -> int:
    """Returns the axis of a layer's channels in its inputs and outputs of that rank."""
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    return 1 if first else rank - 1


def _numpy(variable):
    return np.asarray(ops.convert_to_numpy(variable)).astype("float64")

"""Batch normalization with unbiased population statistics."""

from typing import Any

import keras
from keras import ops

from ..checks import is_integer
from ..types import Identifier, Shape, Tensor
from .batch_statistics import batch_statistics, broadcast_mask, channel_view


@keras.saving.register_keras_serializable(package="methodical")
class BatchNormalization(keras.layers.Layer):
    """Normalizes each channel by the mean and the variance of its batch.

    Ioffe & Szegedy 2015 (arXiv 1502.03167). In training (Algorithm 1), over the `m` values that a
    channel has in the batch, which after a convolution are all positions of all feature maps:

    ```
    μ_B  = Σx / m
    σ²_B = Σ(x − μ_B)² / m
    y    = γ (x − μ_B) / √(σ²_B + ε) + β
    ```

    The moving averages have no gradient and are updated by

    ```
    moving_mean     ← momentum · moving_mean     + (1 − momentum) · μ_B
    moving_variance ← momentum · moving_variance + (1 − momentum) · m/(m−1) · σ²_B
    ```

    In inference (Algorithm 2) they replace the batch's statistics, and each channel has one affine
    map: `y = s·x + t` with `s = γ / √(moving_variance + ε)` and `t = β − s · moving_mean`.
    `estimate_population_statistics` replaces moving averages by exact statistics.

    Differences from `keras.layers.BatchNormalization`: its moving variance averages the *biased*
    `σ²_B`, which is too small by the factor `(m−1)/m`; here it is the paper's unbiased estimate.
    Here a mask may exclude any positions, `momentum` may be `None`, and a single value per channel
    is an error. The defaults and the names of the weights are the same.

    Masked positions are normalized too, but do not contribute to the statistics. Statistics are
    computed and kept in float32 for float16 and bfloat16 inputs, in float64 for float64. With
    `trainable = False` the layer runs in inference mode, as in Keras.

    A single value per channel (a batch of one after a dense layer) has no variance. If the shape is
    known, training on it raises a `ValueError`. If it is not (a graph with a batch of unknown size,
    a mask, `synchronized`), the output is `β` and the moving averages are not updated. Neither are
    they by an empty batch.

    **Batch renormalization** (Ioffe 2017, arXiv 1702.03275), `renorm=True`: training normalizes, as
    inference does, by the moving averages, within limits; so it works with small batches:

    ```
    σ = √(moving_variance + ε)
    r = clip(√(σ²_B + ε) / σ, 1/r_max, r_max)
    d = clip((μ_B − moving_mean) / σ, −d_max, d_max)
    y = γ ((x − μ_B) / √(σ²_B + ε) · r + d) + β
    ```

    without a gradient of `r` and `d`. Departures from that paper: it averages `√(σ²_B + ε)`, here
    `moving_variance` is the same as without renormalization; and for `m = 1` the moving average is
    updated with the variance `(x − moving_mean)²`, since `σ²_B` is 0.

    **Ghost batches** (Hoffer et al. 2017, arXiv 1705.08741, Algorithm 1), `ghost_batch_size=k`:
    training normalizes each group of `k` successive examples by its own statistics. Departure: the
    moving averages are updated once per step, with the mean over the groups, so that `momentum` has
    the same meaning for every `k`; the paper updates them once per group.

    Example:

    ```python
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(8, 3, use_bias=False),  # β takes the place of the bias
            BatchNormalization(),
            keras.layers.ReLU(),
        ]
    )
    ```

    Args:
        axis: int, the axis of the channels; 1 for channels first.
        momentum: float in [0, 1], the share of a moving average that a step keeps; or `None`: the
            averages over all steps so far, weighted equally.
        epsilon: float > 0, `ε`.
        center: bool, whether there is a `β`.
        scale: bool, whether there is a `γ`.
        beta_initializer: initializer of `β`.
        gamma_initializer: initializer of `γ`.
        moving_mean_initializer: initializer of the moving mean.
        moving_variance_initializer: initializer of the moving variance.
        beta_regularizer: regularizer of `β`, or `None`.
        gamma_regularizer: regularizer of `γ`, or `None`.
        beta_constraint: constraint of `β`, or `None`.
        gamma_constraint: constraint of `γ`, or `None`.
        synchronized: bool, whether to compute the statistics over the batches of all replicas.
            TensorFlow: the replicas of a `tf.distribute` strategy; with False each replica has its
            own statistics, and those of the first are saved. JAX: a jitted step over a sharded
            batch always has the statistics of the whole batch. PyTorch: not supported.
        renorm: bool, whether to use batch renormalization.
        renorm_max_scale: `r_max`, float ≥ 1, or a `keras.optimizers.schedules.LearningRateSchedule`
            of the layer's training steps. Ioffe 2017 raises it from 1 to 3.
        renorm_max_shift: `d_max`, float ≥ 0, or a schedule. Ioffe 2017 raises it from 0 to 5.
        ghost_batch_size: int `k`, which must divide the batch, or `None`.

    Call arguments:
        inputs: `(batch, …, channels)`, or with the channels on another `axis`.
        training: bool, whether to normalize by the batch.
        mask: bool, with the first axes of the inputs, such as `(batch, time)`, or broadcasting to
            all of them, such as `(batch, 1, time)` for channels first; False excludes a position
            from the statistics.

    Output shape: the same as the input shape.

    Raises:
        ValueError: an argument is out of its range; the backend has no synchronized statistics;
            the channels' axis is missing or of unknown size; training on a single value per
            channel; `ghost_batch_size` does not divide the batch.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float | None = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Identifier = "zeros",
        gamma_initializer: Identifier = "ones",
        moving_mean_initializer: Identifier = "zeros",
        moving_variance_initializer: Identifier = "ones",
        beta_regularizer: Identifier = None,
        gamma_regularizer: Identifier = None,
        beta_constraint: Identifier = None,
        gamma_constraint: Identifier = None,
        synchronized: bool = False,
        renorm: bool = False,
        renorm_max_scale: Any = 3.0,
        renorm_max_shift: Any = 5.0,
        ghost_batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(
                "`momentum` must be in [0, 1], or `None` for the average over all steps. "
                f"Received: momentum={momentum}"
            )
        if not is_integer(axis):
            raise ValueError(
                f"`axis` must be one integer, the axis of the channels. Received: axis={axis!r}"
            )
        if not epsilon > 0:
            raise ValueError(f"`epsilon` must be positive. Received: epsilon={epsilon}")
        if synchronized and keras.backend.backend() == "torch":
            raise ValueError(
                "`synchronized=True` needs TensorFlow or JAX: with PyTorch, Keras does not sum "
                "over replicas. Received: synchronized=True"
            )
        if ghost_batch_size is not None and (
            ghost_batch_size < 1 or ghost_batch_size != int(ghost_batch_size) or synchronized
        ):
            raise ValueError(
                "`ghost_batch_size` must be a positive integer, and cannot be combined with "
                f"`synchronized=True`. Received: ghost_batch_size={ghost_batch_size}, "
                f"synchronized={synchronized}"
            )
        self.axis = int(axis)
        self.momentum = None if momentum is None else float(momentum)
        self.epsilon = float(epsilon)
        self.center = bool(center)
        self.scale = bool(scale)
        self.beta_initializer = keras.initializers.get(beta_initializer)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.moving_mean_initializer = keras.initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = keras.initializers.get(moving_variance_initializer)
        self.beta_regularizer = keras.regularizers.get(beta_regularizer)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)
        self.beta_constraint = keras.constraints.get(beta_constraint)
        self.gamma_constraint = keras.constraints.get(gamma_constraint)
        self.synchronized = bool(synchronized)
        self.renorm = bool(renorm)
        self.renorm_max_scale = _limit("renorm_max_scale", renorm_max_scale, 1)
        self.renorm_max_shift = _limit("renorm_max_shift", renorm_max_shift, 0)
        self.ghost_batch_size = None if ghost_batch_size is None else int(ghost_batch_size)
        self.supports_masking = True
        self.gamma: Any = None
        self.beta: Any = None
        self.moving_mean: Any = None
        self.moving_variance: Any = None
        self.steps: Any = None
        self._observer: Any = None

    def build(self, input_shape: Shape) -> None:
        """Creates the weights."""
        channels = self._channels(input_shape)
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={self.axis: channels})
        if self.scale:
            self.gamma = self.add_weight(
                shape=(channels,),
                name="gamma",
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
            )
        if self.center:
            self.beta = self.add_weight(
                shape=(channels,),
                name="beta",
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )
        # In bfloat16 the small steps of a moving average would be rounded away.
        options: dict[str, Any] = {
            "dtype": _statistics_dtype(self.variable_dtype),
            "trainable": False,
            "autocast": False,
        }
        self.moving_mean = self.add_weight(
            shape=(channels,),
            name="moving_mean",
            initializer=self.moving_mean_initializer,
            **options,
        )
        self.moving_variance = self.add_weight(
            shape=(channels,),
            name="moving_variance",
            initializer=self.moving_variance_initializer,
            **options,
        )
        limits = (self.renorm_max_scale, self.renorm_max_shift) if self.renorm else ()
        if self.momentum is None or not all(isinstance(limit, float) for limit in limits):
            self.steps = self.add_weight(
                shape=(), name="steps", initializer="zeros", dtype="int32", trainable=False
            )

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Returns the normalized inputs."""
        values = ops.cast(inputs, _statistics_dtype(inputs.dtype))
        if self._uses_batch(training):
            outputs = ops.reshape(self._normalize_batch(values, mask), ops.shape(inputs))
        else:
            outputs = self._normalize_population(values)
        return ops.cast(outputs, self.compute_dtype)

    def _uses_batch(self, training):
        training = bool(training and self.trainable)
        return training if self._observer is None else self._observer.uses_batch(self, training)

    def _normalize_population(self, values):
        factor = ops.rsqrt(self.moving_variance + self.epsilon)
        if self.scale:
            factor = factor * ops.cast(self.gamma, factor.dtype)
        shift = factor * self.moving_mean
        shift = ops.cast(self.beta, shift.dtype) - shift if self.center else -shift
        factor, shift = ops.cast(factor, values.dtype), ops.cast(shift, values.dtype)
        rank = len(values.shape)
        if self.axis % rank != rank - 1:
            shape = [1] * rank
            shape[self.axis] = -1
            factor, shift = ops.reshape(factor, shape), ops.reshape(shift, shape)
        return values * factor + shift

    def _normalize_batch(self, values, mask):
        axis = self.axis % len(values.shape)
        self._check_batch(values.shape)
        view = channel_view(values, axis, self.ghost_batch_size)
        if mask is not None:
            mask = broadcast_mask(mask, values, axis)
            mask = channel_view(mask, axis, self.ghost_batch_size).values
        batch = batch_statistics(view, mask, self.synchronized)
        self._check_count(batch.count, values.shape)

        def channel(vector):
            return ops.reshape(ops.cast(vector, values.dtype), view.channel_shape)

        factor = ops.rsqrt(batch.variance + self.epsilon)
        gamma = channel(self.gamma) if self.scale else 1.0
        if self.renorm:
            r, d = self._corrections(batch, channel)
            factor = factor * r * gamma
            shift = batch.mean * factor - d * gamma
        else:
            factor = factor * gamma
            shift = batch.mean * factor
        shift = channel(self.beta) - shift if self.center else -shift
        if self._observer is not None:
            self._observer.record(self, batch)
        else:
            self._update(batch, channel)
        return view.values * factor + shift

    def _corrections(self, batch, channel):
        """Returns `r` and `d` of batch renormalization."""
        scale, shift = (
            ops.cast(limit(self.steps), batch.mean.dtype) if callable(limit) else limit
            for limit in (self.renorm_max_scale, self.renorm_max_shift)
        )
        inverse = ops.rsqrt(channel(self.moving_variance) + self.epsilon)
        r = ops.sqrt(batch.variance + self.epsilon) * inverse
        d = (batch.mean - channel(self.moving_mean)) * inverse
        r = ops.minimum(ops.maximum(r, 1 / scale), scale)
        d = ops.minimum(ops.maximum(d, -shift), shift)
        return ops.stop_gradient(r), ops.stop_gradient(d)

    def _update(self, batch, channel):
        """Updates the moving averages, where the batch has a variance."""
        count = batch.count
        mean, variance = ops.stop_gradient(batch.mean), ops.stop_gradient(batch.variance)
        # 0 or 1, for all channels or per channel: whether the averages are updated.
        share = None
        if isinstance(count, int):
            if count == 0:
                return
            variance = variance * (count / max(count - 1, 1))
        else:
            variance = variance * (count / ops.maximum(count - 1, 1))
            share = ops.cast(ops.greater(count, 0 if self.renorm else 1), mean.dtype)
        if self.renorm:
            about_moving_mean = ops.square(mean - channel(self.moving_mean))
            variance = ops.where(ops.less(count, 2), about_moving_mean, variance)
        if self.ghost_batch_size is not None:
            weights = ops.ones_like(mean) if share is None else ops.ones_like(mean) * share
            groups = ops.sum(weights, axis=0)
            mean, variance = (
                ops.sum(weights * value, axis=0) / ops.maximum(groups, 1)
                for value in (mean, variance)
            )
            share = ops.minimum(groups, 1)
        if self.steps is not None:
            self.steps.assign_add(1 if share is None else ops.cast(ops.max(share), "int32"))
        dtype = self.moving_mean.dtype
        if self.momentum is None:
            rate = 1 / ops.cast(ops.maximum(self.steps, 1), dtype)
        else:
            rate = 1 - self.momentum
        if share is not None:
            rate = rate * ops.cast(ops.reshape(share, (-1,)), dtype)
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            value = ops.cast(ops.reshape(value, (-1,)), dtype)
            average.assign(average + rate * (value - average))

    def _channels(self, shape):
        """Returns the number of channels of inputs of a shape."""
        rank = len(shape)
        if rank < 2 or not -rank <= self.axis < rank:
            raise ValueError(
                "`axis` must be an axis of the inputs, which have at least two. "
                f"Received: axis={self.axis}, input_shape={tuple(shape)}"
            )
        if shape[self.axis] is None:
            raise ValueError(
                "The number of channels must be known: give `Input` its size. "
                f"Received: axis={self.axis}, input_shape={tuple(shape)}"
            )
        if self.ghost_batch_size is not None and self.axis % rank == 0:
            raise ValueError(
                "With `ghost_batch_size` the first axis must be the batch. "
                f"Received: axis={self.axis}, input_shape={tuple(shape)}"
            )
        return shape[self.axis]

    def _check_batch(self, shape):
        size, group = shape[0], self.ghost_batch_size
        if group is not None and size is not None and size % group:
            raise ValueError(
                "`ghost_batch_size` must divide the size of each batch: choose another size, or "
                "drop the last partial batch (`drop_remainder=True` in `tf.data`). "
                f"Received: ghost_batch_size={group}, inputs.shape={tuple(shape)}"
            )

    def _check_count(self, count, shape):
        known = isinstance(count, int) and self._observer is None
        if known and count == 1 and not self.renorm:
            raise ValueError(
                "Batch normalization in training needs more than one value per channel, since one "
                "has no variance: make the batch larger (and drop a last partial batch), use "
                "`renorm=True`, or freeze the layer by `trainable = False`. Received: "
                f"inputs.shape={tuple(shape)}, ghost_batch_size={self.ghost_batch_size}"
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the inputs."""
        self._channels(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": keras.initializers.serialize(self.beta_initializer),
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
            "moving_mean_initializer": keras.initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": keras.initializers.serialize(
                self.moving_variance_initializer
            ),
            "beta_regularizer": keras.regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": keras.regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": keras.constraints.serialize(self.beta_constraint),
            "gamma_constraint": keras.constraints.serialize(self.gamma_constraint),
            "synchronized": self.synchronized,
            "renorm": self.renorm,
            "renorm_max_scale": _serialize_limit(self.renorm_max_scale),
            "renorm_max_shift": _serialize_limit(self.renorm_max_shift),
            "ghost_batch_size": self.ghost_batch_size,
        }


def _statistics_dtype(dtype):
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"


def _limit(name, value, smallest):
    """Returns a limit of renormalization, a float or a schedule."""
    if isinstance(value, dict):
        value = keras.optimizers.schedules.deserialize(value)
    if isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
        return value
    if not isinstance(value, (int, float)) or not value >= smallest:
        raise ValueError(
            f"`{name}` must be a number of at least {smallest}, or a `LearningRateSchedule`. "
            f"Received: {name}={value}"
        )
    return float(value)


def _serialize_limit(limit):
    return limit if isinstance(limit, float) else keras.optimizers.schedules.serialize(limit)

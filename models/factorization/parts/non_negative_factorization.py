"""Non-negative matrix factorization as a layer: examples in, non-negative codes out."""

from typing import Any

import keras
from keras import ops

from ...checks import positive_integer
from ...types import Identifier, Shape, Tensor
from .non_negative_codes import SMALLEST, divergence_codes, divide, euclidean_codes, repeat

_CODES = {"euclidean": euclidean_codes, "divergence": divergence_codes}


@keras.saving.register_keras_serializable(package="methodical")
class NonNegativeFactorization(keras.layers.Layer):
    """Writes each example as a sum of non-negative parts: `x ≈ c H` with `c ≥ 0` and `H ≥ 0`.

    Lee & Seung 2001, "Algorithms for Non-negative Matrix Factorization", NIPS 13. The weight
    `components`, `H`, has a row for each of `rank` parts. The codes `c` of an example minimise one
    of

    ```
    loss="euclidean":   Σ (x − cH)² / 2
    loss="divergence":  Σ x log(x / cH) − x + cH
    ```

    by `iterations` of the paper's multiplicative rule with `H` fixed, from `c = 1`, so that equal
    examples have equal codes in every batch. The number of iterations is fixed, and gradients flow
    through them.

    `update` chooses how `H` is learned:

    - `"gradient"`: like any weight, from the model's loss, through the codes; after each step
      negative entries become 0. With `loss_weight` the layer adds its own loss.
    - `"multiplicative"`: by the multiplicative rule, in `call` with `training=True`, as batch
      normalization updates its statistics: without gradients or an optimizer. Past batches enter
      through decaying sums, so that mini-batches suffice (the online scheme of Mairal et al. 2010,
      "Online Learning for Matrix Factorization and Sparse Coding", JMLR 11). For the Euclidean
      loss, with the sums over the batch,

      ```
      A ← m A + Σ cᵀc       B ← m B + Σ cᵀx
      H ← H · B / (A H)     component_iterations times
      ```

      and for the divergence, where `N` and `D` are the last numerator and denominator,

      ```
      H ← (m N + H · Σ cᵀ(x / cH)) / (m D + Σ cᵀ1)     component_iterations times
      ```

      Entries with a weight `w` below one enter the Euclidean sums as `w x + (1 − w) cH`, which does
      not move the minima of the weighted loss. A component that no example uses does not change.
      `trainable = False` stops the updates. Under `tf.distribute` the sums and `H` are means over
      the replicas.

    Inputs must be non-negative; negative entries count as 0. An example of zeros has the code 0.
    NaN makes the codes of its example NaN, so that training fails visibly; with `nan_as_missing`
    such entries are excluded. Computation and sums are in float32 for float16 and bfloat16.

    Example:

    ```python
    images = np.random.default_rng(0).random((500, 64)).astype("float32")
    layer = NonNegativeFactorization(16, update="multiplicative", loss_weight=1.0)
    inputs = keras.Input((64,))
    model = keras.Model(inputs, layer(inputs))  # codes, (batch, 16)
    model.compile()
    model.fit(images, batch_size=250, epochs=4)  # the loss is the layer's own
    parts = layer.components
    restored = layer.reconstruct(model.predict(images))
    ```

    Args:
        rank: int > 0, the number of components.
        loss: `"euclidean"` or `"divergence"`.
        update: `"gradient"` or `"multiplicative"`.
        iterations: int > 0, the iterations for the codes.
        momentum: float in [0, 1), `m`, the share of the sums over past batches that a step keeps.
            0 for batches of all examples; larger for smaller batches.
        component_iterations: int > 0, the iterations for `H` in a step.
        components_initializer: initializer of `H`, whose absolute values are taken; `None` for
            uniform numbers in [0, 1).
        components_regularizer: regularizer of `H`, or `None`; for `update="gradient"` only.
        returns: `"codes"`, or `"reconstruction"` for `cH`, as an autoencoder.
        loss_weight: float ≥ 0; above 0 the layer adds `loss_weight` times its loss, summed over
            the features and averaged over the examples, to the model's.
        nan_as_missing: bool, whether NaN marks a missing entry. An example without known entries
            has the code 0.

    Call arguments:
        inputs: `(batch, …, features)`, non-negative.
        weights: the inputs' shape, or broadcasting to it, in [0, 1]: the weight of an entry in the
            loss; 0 excludes it. `None` for 1 everywhere.
        training: bool, whether `update="multiplicative"` updates `H`.
        mask: bool, the inputs' shape without the features; False excludes an example from the
            update and from the loss, but it has codes too.

    Output shape: `(batch, …, rank)`, or the inputs' shape for reconstructions.

    Raises:
        ValueError: an argument is out of its range, or the number of features is unknown.
    """

    def __init__(
        self,
        rank: int,
        loss: str = "euclidean",
        update: str = "gradient",
        iterations: int = 30,
        momentum: float = 0.7,
        component_iterations: int = 10,
        components_initializer: Identifier = None,
        components_regularizer: Identifier = None,
        returns: str = "codes",
        loss_weight: float = 0.0,
        nan_as_missing: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        counts = {
            "rank": rank,
            "iterations": iterations,
            "component_iterations": component_iterations,
        }
        for name, value in counts.items():
            positive_integer(name, value)
        choices = {
            "loss": (loss, tuple(_CODES)),
            "update": (update, ("gradient", "multiplicative")),
            "returns": (returns, ("codes", "reconstruction")),
        }
        for name, (choice, allowed) in choices.items():
            if choice not in allowed:
                raise ValueError(f"`{name}` must be one of {allowed}. Received: {name}={choice!r}")
        if not 0 <= momentum < 1:
            raise ValueError(f"`momentum` must be in [0, 1). Received: momentum={momentum}")
        if not loss_weight >= 0:
            raise ValueError(
                f"`loss_weight` must not be negative. Received: loss_weight={loss_weight}"
            )
        if components_regularizer is not None and update != "gradient":
            raise ValueError(
                "`components_regularizer` acts through gradients and needs `update='gradient'`. "
                f"Received: update={update!r}, components_regularizer={components_regularizer}"
            )
        self.rank = int(rank)
        self.loss = loss
        self.update = update
        self.iterations = int(iterations)
        self.momentum = float(momentum)
        self.component_iterations = int(component_iterations)
        self.components_initializer = (
            keras.initializers.RandomUniform(0.0, 1.0)
            if components_initializer is None
            else keras.initializers.get(components_initializer)
        )
        self.components_regularizer = keras.regularizers.get(components_regularizer)
        self.returns = returns
        self.loss_weight = float(loss_weight)
        self.nan_as_missing = bool(nan_as_missing)
        self.supports_masking = True
        self.components: Any = None
        self.code_sums: Any = None
        self.data_sums: Any = None

    def build(self, input_shape: Shape) -> None:
        """Creates the weights."""
        features = self._features(input_shape)
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={-1: features})
        by_gradient = self.update == "gradient"
        self.components = self.add_weight(
            shape=(self.rank, features),
            name="components",
            initializer=self._initialize_components,
            regularizer=self.components_regularizer,
            constraint=keras.constraints.NonNeg() if by_gradient else None,
            trainable=by_gradient,
            autocast=False,
            aggregation="mean",
        )
        if by_gradient:
            return
        # In bfloat16 the additions of a batch would be rounded away.
        options: dict[str, Any] = {
            "initializer": "zeros",
            "dtype": _computing_dtype(self.variable_dtype),
            "trainable": False,
            "autocast": False,
            "aggregation": "mean",
        }
        columns = self.rank if self.loss == "euclidean" else features
        self.code_sums = self.add_weight(shape=(self.rank, columns), name="code_sums", **options)
        self.data_sums = self.add_weight(shape=(self.rank, features), name="data_sums", **options)

    def _initialize_components(self, shape, dtype=None):
        return ops.abs(self.components_initializer(shape, dtype=dtype))

    def call(
        self,
        inputs: Tensor,
        weights: Tensor | None = None,
        training: bool | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Returns the codes, or the reconstruction."""
        features = inputs.shape[-1]
        dtype = _computing_dtype(inputs.dtype)
        components = ops.cast(self.components, dtype)
        examples = ops.reshape(ops.cast(inputs, dtype), (-1, features))
        if weights is not None:
            weights = ops.broadcast_to(ops.cast(weights, dtype), ops.shape(inputs))
            weights = ops.reshape(weights, (-1, features))
        if self.nan_as_missing:
            known = ops.logical_not(ops.isnan(examples))
            examples = ops.where(known, examples, ops.zeros_like(examples))
            known = ops.cast(known, dtype)
            weights = known if weights is None else known * weights
        examples = ops.maximum(examples, 0)
        codes = _CODES[self.loss](examples, components, weights, self.iterations)
        learns = self.update == "multiplicative" and training and self.trainable
        if self.loss_weight or learns:
            self._learn(examples, codes, components, weights, mask, learns)
        outputs = codes if self.returns == "codes" else ops.matmul(codes, components)
        outputs = ops.reshape(outputs, (*ops.shape(inputs)[:-1], outputs.shape[-1]))
        return ops.cast(outputs, self.compute_dtype)

    def reconstruct(self, codes: Tensor) -> Tensor:
        """Returns `cH` of codes `(…, rank)`, which have the shape `(…, features)`."""
        codes = ops.convert_to_tensor(codes)
        return ops.matmul(codes, ops.cast(self.components, codes.dtype))

    def _learn(self, examples, codes, components, weights, mask, learns):
        """Adds the loss of the examples that the mask keeps, and updates the components."""
        count = ops.cast(ops.shape(codes)[0], codes.dtype)
        if mask is not None:
            mask = ops.reshape(ops.cast(mask, "bool"), (-1, 1))
            count = ops.sum(ops.cast(mask, codes.dtype))
            examples = ops.where(mask, examples, ops.zeros_like(examples))
            codes = ops.where(mask, codes, ops.zeros_like(codes))
        if self.loss_weight:
            total = self._total_loss(examples, ops.matmul(codes, components), weights)
            self.add_loss(self.loss_weight * total / ops.maximum(count, 1))
        if learns:
            examples, codes, components = map(ops.stop_gradient, (examples, codes, components))
            move = self._move_euclidean if self.loss == "euclidean" else self._move_divergence
            moved = move(examples, codes, components, weights)
            self.components.assign(ops.cast(moved, self.components.dtype))

    def _total_loss(self, examples, reconstruction, weights):
        if self.loss == "euclidean":
            losses = ops.square(examples - reconstruction) / 2
        else:
            zero = ops.equal(examples, 0)
            ratio = ops.where(zero, ops.ones_like(examples), examples) / ops.maximum(
                reconstruction, SMALLEST
            )
            logarithm = ops.where(zero, ops.zeros_like(ratio), ops.log(ratio))
            losses = examples * logarithm - examples + reconstruction
        return ops.sum(losses if weights is None else weights * losses)

    def _move_euclidean(self, examples, codes, components, weights):
        across = ops.transpose(codes)
        square = self._add(self.code_sums, ops.matmul(across, codes))
        if weights is None:
            product = self._add(self.data_sums, ops.matmul(across, examples))
            return repeat(_rescale, self.component_iterations, components, product, square)
        constants = self.momentum * ops.cast(self.data_sums, codes.dtype), examples, codes, weights
        moved = repeat(
            _complete_and_rescale, self.component_iterations, components, *constants, square
        )
        product = _completed_product(moved, *constants)
        self.data_sums.assign(ops.cast(product, self.data_sums.dtype))
        return moved

    def _move_divergence(self, examples, codes, components, weights):
        across = ops.transpose(codes)
        if weights is None:
            used = ops.sum(across, axis=1, keepdims=True) * ops.ones_like(components)
        else:
            used = ops.matmul(across, weights)
            examples = weights * examples
        used = self._add(self.code_sums, used)
        constants = self.momentum * ops.cast(self.data_sums, codes.dtype), examples, codes
        moved = repeat(_share_and_divide, self.component_iterations, components, *constants, used)
        self.data_sums.assign(ops.cast(_shared(moved, *constants), self.data_sums.dtype))
        return moved

    def _add(self, sums, value):
        """Decays the sums, adds those of a batch, and returns the result."""
        sums.assign(ops.cast(self.momentum * ops.cast(sums, value.dtype) + value, sums.dtype))
        return ops.cast(sums, value.dtype)

    def _features(self, shape):
        features = shape[-1] if len(shape) > 1 else None
        if features is None:
            raise ValueError(
                "The inputs must be (batch, …, features) with a known number of features. "
                f"Received: inputs.shape={tuple(shape)}"
            )
        return features

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the codes, or that of the inputs for reconstructions."""
        features = self._features(input_shape)
        size = self.rank if self.returns == "codes" else features
        return (*input_shape[:-1], size)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            **super().get_config(),
            "rank": self.rank,
            "loss": self.loss,
            "update": self.update,
            "iterations": self.iterations,
            "momentum": self.momentum,
            "component_iterations": self.component_iterations,
            "components_initializer": keras.initializers.serialize(self.components_initializer),
            "components_regularizer": keras.regularizers.serialize(self.components_regularizer),
            "returns": self.returns,
            "loss_weight": self.loss_weight,
            "nan_as_missing": self.nan_as_missing,
        }


def _rescale(components, product, square):
    """Returns `H · B / (A H)`, or `H` where no example uses it."""
    denominator = ops.matmul(square, components)
    moved = components * divide(product, denominator)
    return ops.where(ops.greater(denominator, SMALLEST), moved, components)


def _completed_product(components, past, examples, codes, weights):
    """Returns `B`, completed by the reconstruction where weights are below one."""
    completed = weights * examples + (1 - weights) * ops.matmul(codes, components)
    return past + ops.matmul(ops.transpose(codes), completed)


def _complete_and_rescale(components, past, examples, codes, weights, square):
    product = _completed_product(components, past, examples, codes, weights)
    return _rescale(components, product, square)


def _shared(components, past, examples, codes):
    """Returns `N`: the share of the examples that the divergence rule assigns to components."""
    ratio = divide(examples, ops.matmul(codes, components))
    return past + components * ops.matmul(ops.transpose(codes), ratio)


def _share_and_divide(components, past, examples, codes, used):
    """Returns `N / D`, or `H` where no example uses it."""
    moved = divide(_shared(components, past, examples, codes), used)
    return ops.where(ops.greater(used, SMALLEST), moved, components)


def _computing_dtype(dtype):
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"

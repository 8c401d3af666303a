"""A model of images as sums of parts, around any layer that codes and reconstructs."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from ...types import Shape, Tensor


@keras.saving.register_keras_serializable(package="methodical")
class PartsModel(keras.Model):
    """Codes images with a layer and reconstructs them from the codes.

    Figure 1 of Lee & Seung 1999, "Learning the parts of objects by non-negative matrix
    factorization", Nature 401, compares three such layers: `NonNegativeFactorization`,
    `PrincipalComponents` and `VectorQuantization`.

    The loss of `fit` and `evaluate` is the mean squared difference between the images and their
    reconstructions, whatever is compiled; targets are ignored.

    ```python
    images = np.random.default_rng(0).random((500, 8, 8, 1)).astype("float32")
    model = PartsModel(NonNegativeFactorization(49, update="multiplicative"))
    model.compile()
    model.fit(images, epochs=4, batch_size=250)
    model(images)["codes"].shape  # (500, 49)
    ```

    Args:
        coder: a layer from `(B, features)` to codes `(B, rank)` with a method `reconstruct` from
            codes to `(B, features)`.

    Call arguments:
        inputs: images `(B, …)`, which are flattened.

    Returns:
        A dict of `codes` `(B, rank)` and `reconstruction`, of the inputs' shape.
    """

    def __init__(self, coder: keras.Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.coder = coder

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Creates the coder's weights."""
        if not self.coder.built:
            self.coder.build((input_shape[0], math.prod(input_shape[1:])))

    def call(self, inputs: Tensor, training: bool | None = None) -> dict[str, Tensor]:
        """Returns codes and reconstructions."""
        flat = ops.reshape(inputs, (-1, math.prod(inputs.shape[1:])))
        # Keras drops `training` if the coder does not take it.
        codes = self.coder(flat, training=training)
        reconstruction = ops.reshape(self.coder.reconstruct(codes), (-1, *inputs.shape[1:]))
        return {"codes": codes, "reconstruction": reconstruction}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Returns the mean squared difference between images and reconstructions."""
        difference = ops.cast(x, "float32") - ops.cast(y_pred["reconstruction"], "float32")
        total = ops.mean(ops.square(difference))
        for loss in self.losses:
            total = total + ops.cast(loss, total.dtype)
        return total

    def compute_output_shape(self, input_shape: Shape) -> dict[str, Shape]:
        """Returns the shapes of codes and reconstructions."""
        return {"codes": (input_shape[0], self.coder.rank), "reconstruction": tuple(input_shape)}

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            **super().get_config(),
            "coder": keras.saving.serialize_keras_object(self.coder),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PartsModel:
        """Creates the model from its configuration."""
        config = {**config, "coder": keras.saving.deserialize_keras_object(config["coder"])}
        return cls(**config)

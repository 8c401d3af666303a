"""A model of images as sums of parts, around any layer that codes and reconstructs."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="methodical")
class PartsModel(keras.Model):
    """Codes images with a layer and puts them together again from the codes.

    Figure 1 of Lee & Seung 1999, "Learning the parts of objects by non-negative matrix
    factorization", Nature 401, compares three such layers: `NonNegativeFactorization`,
    `PrincipalComponents` and `VectorQuantization`.

    The loss of `fit` and `evaluate` is the mean squared difference between the images and their
    reconstructions, whatever else is compiled; targets are not looked at.

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
        inputs: images `(B, …)`, numbers, which are flattened.

    Returns:
        A dict of `codes` `(B, rank)` and `reconstruction`, of the inputs' shape.
    """

    def __init__(self, coder, **kwargs):
        super().__init__(**kwargs)
        self.coder = coder

    def build(self, input_shape):
        """Creates the coder's weights."""
        if not self.coder.built:
            self.coder.build((input_shape[0], math.prod(input_shape[1:])))
            self.coder.built = True

    def call(self, inputs, training=None):
        """Returns codes and reconstructions."""
        flat = ops.reshape(inputs, (-1, math.prod(inputs.shape[1:])))
        # Keras drops `training` for a coder that does not take it.
        codes = self.coder(flat, training=training)
        reconstruction = ops.reshape(self.coder.reconstruct(codes), (-1, *inputs.shape[1:]))
        return {"codes": codes, "reconstruction": reconstruction}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the mean squared difference between images and reconstructions."""
        difference = ops.cast(x, "float32") - ops.cast(y_pred["reconstruction"], "float32")
        total = ops.mean(ops.square(difference))
        for loss in self.losses:
            total = total + ops.cast(loss, total.dtype)
        return total

    def compute_output_shape(self, input_shape):
        """Returns the shapes of codes and reconstructions."""
        return {"codes": (input_shape[0], self.coder.rank), "reconstruction": tuple(input_shape)}

    def get_config(self):
        """Returns the configuration."""
        return {
            **super().get_config(),
            "coder": keras.saving.serialize_keras_object(self.coder),
        }

    @classmethod
    def from_config(cls, config):
        """Makes the model of a configuration."""
        config = {**config, "coder": keras.saving.deserialize_keras_object(config["coder"])}
        return cls(**config)

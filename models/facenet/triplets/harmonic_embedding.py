"""Harmonic embedding: a new network whose vectors compare with those of an old one."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ...types import Shape, Tensor


@keras.saving.register_keras_serializable(package="methodical")
class HarmonicModel(keras.Model):
    """Trains a new network (v2) so that its embeddings compare with those of an old one (v1).

    Vectors of the old network remain usable: a database need not be computed again, and phones need
    not all change their network on the same day (FaceNet, appendix, section 6). The model's output
    is the new network's embedding. Its loss is the compiled one, such as `TripletLoss`, on the
    embeddings of the batch by both networks together,

    ```
    loss = w · L(labels ∪ labels, v1(x) ∪ v2(x)) + (1 − w) · L(labels, v2(x))
    ```

    so that anchor, positive and negative may each be of either network, and negatives are selected
    from all of them (Figure 9). `v1(x)` is constant: the old network runs as in inference, its
    weights are frozen, and triplets of its vectors alone have no gradient. `v1(x)` and `v2(x)` of
    the same image are a positive pair.

    The appendix's recipe: first the new network is trained by itself; then its last layer, the
    embedding, is initialized again and trained alone with this loss; then the whole network.

    Example, where `old` and `independent` stand for trained networks:

    ```python
    labels = np.tile(np.arange(8), 16)  # several examples of each label in a batch
    features = np.random.default_rng(0).normal(labels[:, None], 1.0, (128, 16))
    old = keras.Sequential([keras.Input((16,)), UnitEmbedding(4)])
    independent = keras.Sequential(
        [keras.Input((16,)), keras.layers.Dense(32, activation="relu"), UnitEmbedding(4)]
    )

    body = keras.Model(independent.inputs, independent.layers[-2].output)
    body.trainable = False
    new = keras.Sequential([body, UnitEmbedding(4)])

    model = HarmonicModel(old, new)
    model.compile("adam", loss=TripletLoss())
    model.fit(features, labels, batch_size=64, epochs=2)

    body.trainable = True
    model.compile(keras.optimizers.Adam(1e-4), loss=TripletLoss())
    model.fit(features, labels, batch_size=64, epochs=2)
    vectors = model.new_network.predict(features)  # (128, 4)
    ```

    Args:
        old_network: `keras.Model` from inputs to embeddings (B, D). It is frozen: its `trainable`
            becomes False.
        new_network: `keras.Model` from the same inputs to embeddings of the same size. Where the
            networks take images of different sizes, put a `keras.layers.Resizing` before one.
        harmonic_weight: float in (0, 1], w. Defaults to 1, the paper's: the mixed triplets
            contain those of the new network.

    Call arguments:
        inputs: what both networks take, for example float images (B, H, W, C) in [0, 1].

    Output shape: `(B, D)`, that of the new network.

    Raises:
        ValueError: `harmonic_weight` is outside (0, 1], the networks share weights, or their
            embeddings differ in size.

    Reference:
        Schroff, Kalenichenko & Philbin 2015, FaceNet, arXiv 1503.03832, appendix, section 6.
    """

    def __init__(
        self,
        old_network: keras.Model,
        new_network: keras.Model,
        harmonic_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 < harmonic_weight <= 1:
            raise ValueError(
                f"Expected a weight in (0, 1]. Received: harmonic_weight={harmonic_weight}"
            )
        self.old_network = old_network
        self.new_network = new_network
        self.harmonic_weight = float(harmonic_weight)
        self._check_apart()
        self.old_network.trainable = False

    def build(self, input_shape: Shape) -> None:
        """Builds both networks."""
        sizes = []
        for network in (self.old_network, self.new_network):
            if not network.built:
                network.build(input_shape)
            sizes.append(tuple(network.compute_output_shape(input_shape))[1:])
        if sizes[0] != sizes[1]:
            raise ValueError(
                "Expected a new network whose embeddings have the size of the old one's. "
                f"Received: {sizes[1]} and, of the old network, {sizes[0]}"
            )
        self._check_apart()

    def _check_apart(self):
        old = {id(weight) for weight in self.old_network.weights}
        shared = [weight.path for weight in self.new_network.weights if id(weight) in old]
        if shared:
            raise ValueError(
                "Expected networks without common weights, as the old one is frozen; "
                f"`keras.models.clone_model` makes a second network. Received: {shared[:3]} in both"
            )

    @property
    def trainable(self) -> bool:
        """Whether the new network is trained; the old one always stays frozen."""
        return super().trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        keras.Model.trainable.fset(self, value)
        self.old_network.trainable = False

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        """Returns the new network's embeddings."""
        return self.new_network(inputs, training=training)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        """Returns the compiled loss of the embeddings of both networks together."""
        old = ops.stop_gradient(self.old_network(x, training=False))
        both = ops.concatenate([ops.cast(old, "float32"), ops.cast(y_pred, "float32")], axis=0)
        loss = super().compute_loss(x, _twice(y), both, _twice(sample_weight), training)
        if self.harmonic_weight == 1:
            return loss
        own = super().compute_loss(x, y, y_pred, sample_weight, training)
        return self.harmonic_weight * loss + (1 - self.harmonic_weight) * own

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the embeddings."""
        return self.new_network.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            **super().get_config(),
            "old_network": keras.saving.serialize_keras_object(self.old_network),
            "new_network": keras.saving.serialize_keras_object(self.new_network),
            "harmonic_weight": self.harmonic_weight,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> HarmonicModel:
        """Creates the model from its configuration."""
        networks = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("old_network", "new_network")
        }
        return cls(**{**config, **networks})


def _twice(tensor):
    """Returns a tensor concatenated with itself."""
    return None if tensor is None else ops.concatenate([tensor, tensor], axis=0)

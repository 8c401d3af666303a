"""A watch over the embedding while it trains: has it collapsed to a point?"""

import warnings

import keras
import numpy as np

from .batch_checks import integer_labels
from .triplet_loss import TripletLoss
from .triplets import count_triplets


class CollapseMonitor(keras.callbacks.Callback):
    """Measures the embedding of a fixed batch after each epoch, and warns when it has collapsed.

    A network can answer the triplet loss by giving all images one point: each distance is 0, the
    loss of each triplet the margin, and the gradient 0. The loss alone shows that badly; these do,
    added to the epoch's logs, and so to the history and to other callbacks:

    - `embedding_spread`: the mean squared distance between two images, in [0, 4]; 2 where the
      vectors are uniform on the sphere, 0 where the embedding is a point.
    - `positive_distance`, `negative_distance`: that of two images of one identity, of two.
    - `active_triplets`: the fraction of all triplets whose loss is above 0: 1 in a collapse, and
      near 0 when the batch has no more to teach.

    The warning, a `RuntimeWarning`, comes once a training, when the spread is below `threshold`.
    The epoch in which it came is the attribute `collapsed`, until then `None`.

    Example:

    ```python
    labels = np.tile(np.arange(8), 16)
    features = np.random.default_rng(0).normal(labels[:, None], 1.0, (128, 16))
    model = keras.Sequential([keras.Input((16,)), UnitEmbedding(4)])
    model.compile("adagrad", loss=TripletLoss())
    monitor = CollapseMonitor(features[:64], labels[:64])
    history = model.fit(features, labels, batch_size=64, epochs=2, callbacks=[monitor])
    history.history["embedding_spread"]
    ```

    Args:
        images: array or dict of arrays, B inputs of the model, several of each identity.
        labels: int array `(B,)` or `(B, 1)`, below 0 for unknown people.
        margin: float, of the active triplets; `None` for that of the model's `TripletLoss`.
            Defaults to `None`.
        threshold: float, the spread below which the embedding counts as collapsed. Defaults to
            0.01.
        batch_size: int, for the model's prediction. Defaults to 32.

    Raises:
        ValueError: if the labels are not integers of that shape, one for each image, or have no
            positive or no negative pair; at the start of a training, if there is no margin.
    """

    def __init__(self, images, labels, margin=None, threshold=0.01, batch_size=32):
        super().__init__()
        self.images = images
        self.labels = keras.ops.convert_to_numpy(integer_labels(labels))
        self.margin = margin
        self.threshold = threshold
        self.batch_size = batch_size
        self.collapsed = None
        for part in keras.tree.flatten(images):
            if hasattr(part, "shape") and part.shape[0] != len(self.labels):
                raise ValueError(
                    "Each image must have one label. "
                    f"Received: {len(self.labels)} labels for images of the shape "
                    f"{tuple(part.shape)}"
                )
        known = self.labels >= 0
        alike = (self.labels[:, None] == self.labels) & known[:, None]
        self._positive = alike & ~np.eye(len(self.labels), dtype=bool)
        self._negative = ~alike & known[:, None]
        if not (self._positive.any() and self._negative.any()):
            raise ValueError(
                "`labels` must have two images of one identity and one of another. "
                f"Received: {known.sum()} images of {len(np.unique(self.labels[known]))} known "
                f"identities and {(~known).sum()} of unknown people"
            )

    def on_train_begin(self, logs=None):
        """Forgets the last training's collapse, and looks for a margin."""
        self.collapsed = None
        self._margin_of_now()

    def on_epoch_end(self, epoch, logs=None):
        """Measures, logs and warns."""
        embeddings = self.model.predict(self.images, batch_size=self.batch_size, verbose=0)
        found = self.measure(embeddings)
        if logs is not None:
            logs.update(found)
        spread = found["embedding_spread"]
        # Not `spread < threshold`: an embedding of NaN is no better.
        if self.collapsed is None and not spread >= self.threshold:
            self.collapsed = epoch
            warnings.warn(
                f"The embedding has collapsed to a point in epoch {epoch}: the mean squared "
                f"distance between two of {len(self.labels)} images is {spread:.3g}, expected at "
                f"least {self.threshold:g} (2 on a full sphere). Start again with a smaller "
                "learning rate, with selection='semi_hard' in place of 'hard' or 'batch_hard', or "
                "with a larger batch.",
                RuntimeWarning,
                stacklevel=2,
            )

    def measure(self, embeddings):
        """Returns the measures of embeddings of the fixed batch.

        Args:
            embeddings: float array `(B, D)`.

        Returns:
            Dict from the name of a measure to a float.
        """
        embeddings = np.asarray(embeddings, dtype="float64")
        count = len(embeddings)
        # Centred, so that a spread far below the vectors' length is not lost in rounding.
        centred = embeddings - embeddings.mean(axis=0)
        squares = np.square(centred).sum(axis=1)
        distances = np.maximum(squares[:, None] + squares - 2 * centred @ centred.T, 0)
        counts = count_triplets(
            embeddings.astype("float32"), self.labels.astype("int32"), self._margin_of_now()
        )
        active, valid = (
            keras.ops.convert_to_numpy(number).sum(dtype="int64")
            for number in (counts.active, counts.valid)
        )
        return {
            "embedding_spread": float(2 * squares.sum() / (count - 1)),
            "positive_distance": float(distances[self._positive].mean()),
            "negative_distance": float(distances[self._negative].mean()),
            "active_triplets": float(active / valid),
        }

    def _margin_of_now(self):
        if self.margin is not None:
            return self.margin
        parts = keras.tree.flatten(getattr(self.model, "loss", None))
        margins = [part.margin for part in parts if isinstance(part, TripletLoss)]
        if not margins or margins[0] == "soft":
            raise ValueError(
                "The model's loss has no margin to count active triplets with: give "
                f"`CollapseMonitor` the argument `margin`. Received: loss={self.model.loss!r}"
            )
        return margins[0]

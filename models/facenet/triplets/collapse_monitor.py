"""Monitoring of the embedding during training: has it collapsed to a point?"""

import warnings
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from .batch_checks import integer_labels
from .triplet_loss import TripletLoss
from .triplets import count_triplets


class CollapseMonitor(keras.callbacks.Callback):
    """Measures the embedding of a fixed batch after each epoch, and warns when it has collapsed.

    A network can respond to the triplet loss by mapping all images to one point: every distance is
    0, the loss of every triplet is the margin, and the gradient is 0. The loss alone hardly shows
    it. These measures do; they are added to the epoch's logs, and so to the history and to other
    callbacks:

    - `embedding_spread`: the mean squared distance between two images, in [0, 4]; 2 where the
      vectors are uniform on the sphere, 0 where the embedding is a point.
    - `positive_distance`: the same for two images of one identity.
    - `negative_distance`: the same for images of two identities.
    - `active_triplets`: the fraction of all triplets whose loss is above 0: 1 in a collapse, near 0
      when nothing more can be learned from the batch.

    A `RuntimeWarning` is issued once per training, when the spread falls below `threshold`. The
    attribute `collapsed` is the epoch of the warning, or `None`.

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
        margin: float, the margin of active triplets; `None` for the margin of the model's
            `TripletLoss`. Defaults to `None`.
        threshold: float, the spread below which the embedding counts as collapsed. Defaults to
            0.01.
        batch_size: int, the batch size of `predict`. Defaults to 32.

    Raises:
        ValueError: if the labels are not integers of that shape, one per image, or have no
            positive or no negative pair; at the start of a training, if there is no margin.
    """

    def __init__(
        self,
        images: Any,
        labels: ArrayLike,
        margin: float | None = None,
        threshold: float = 0.01,
        batch_size: int = 32,
    ) -> None:
        super().__init__()
        self.images = images
        self.labels = keras.ops.convert_to_numpy(integer_labels(labels))
        self.margin = margin
        self.threshold = threshold
        self.batch_size = batch_size
        self.collapsed: int | None = None
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

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Resets `collapsed` and checks that there is a margin."""
        self.collapsed = None
        self._current_margin()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measures, logs and warns."""
        embeddings = self.model.predict(self.images, batch_size=self.batch_size, verbose=0)
        measures = self.measure(embeddings)
        if logs is not None:
            logs.update(measures)
        spread = measures["embedding_spread"]
        # Not `spread < threshold`: an embedding of NaN is no better.
        if self.collapsed is None and not spread >= self.threshold:
            self.collapsed = epoch
            warnings.warn(
                f"The embedding has collapsed to a point in epoch {epoch}: the mean squared "
                f"distance between two of {len(self.labels)} images is {spread:.3g}, expected at "
                f"least {self.threshold:g} (2 if uniform on the sphere). Start again with a "
                "smaller learning rate, with selection='semi_hard' in place of 'hard' or "
                "'batch_hard', or with a larger batch.",
                RuntimeWarning,
                stacklevel=2,
            )

    def measure(self, embeddings: ArrayLike) -> dict[str, float]:
        """Returns the measures of embeddings of the fixed batch.

        Args:
            embeddings: float array `(B, D)`.

        Returns:
            Dict from the name of a measure to a float.
        """
        embeddings = np.asarray(embeddings, dtype="float64")
        count = len(embeddings)
        # Centered, so that a spread far below the vectors' length is not lost in rounding.
        centered = embeddings - embeddings.mean(axis=0)
        squares = np.square(centered).sum(axis=1)
        distances = np.maximum(squares[:, None] + squares - 2 * centered @ centered.T, 0)
        counts = count_triplets(
            embeddings.astype("float32"), self.labels.astype("int32"), self._current_margin()
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

    def _current_margin(self):
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

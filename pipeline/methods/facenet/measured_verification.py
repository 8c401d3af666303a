"""Verification measured during training, on pairs of a split."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ....components.data.faces.faces import Faces
from ....models.facenet.measures.verification import val_at_far, verify
from .embedding import compile_embedding
from .pairs.paired_images import PairedImages, drawn_images


class MeasuredVerification(keras.callbacks.Callback):
    """Measures verification after each epoch and logs `<prefix>_accuracy`, `_val` and `_area`.

    The accuracy is the mean over ten folds with the threshold chosen on the others, VAL the share
    of the pairs of the same person that is accepted at the false accept rate, and the area that
    under the ROC, which of few pairs varies least.

    The pairs are drawn once, when training begins, and their images stay in memory as uint8.

    Where the logs choose a fit's best epoch without other validation data, they must not begin with
    `val_`: the Trainer then takes the training loss in their place.

    Args:
        data: transformed examples.
        split: string.
        pairs: integer. The number of pairs, half of them of the same person where there are so
            many.
        seed: integer, of the draw.
        far: float. The false accept rate at which VAL is measured.
        prefix: string. What the names of the logs begin with.
        prepare: function from uint8 images `(M, H, W, C)` to what the model reads, of which it is
            called once; `None` for a model that reads images.
    """

    def __init__(
        self,
        data: Faces,
        split: str = "eval",
        pairs: int = 1000,
        seed: int = 0,
        far: float = 0.01,
        prefix: str = "val",
        prepare: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        super().__init__()
        self.data = data
        self.split = split
        self.pairs = pairs
        self.seed = seed
        self.far = far
        self.prefix = prefix
        self.prepare = prepare
        self._drawn: PairedImages | None = None
        self._embed: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Draws the pairs."""
        if self._drawn is None:
            drawn = drawn_images(self.data, self.split, self.pairs, self.seed)
            if self.prepare is not None:
                drawn = dataclasses.replace(drawn, pixels=self.prepare(drawn.pixels))
            self._drawn = drawn
        if self.prepare is None:
            self._embed = compile_embedding(self.model, self.data.image_shape)
        else:
            self._embed = lambda rows: np.asarray(self.model.predict_on_batch(rows))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the measures to the logs."""
        # After a kill the Trainer tells of the epochs that are done, with what was measured then.
        if logs is None or self._drawn is None or f"{self.prefix}_accuracy" in logs:
            return
        measures = _measured(self._drawn, self._embed, self.far)
        logs.update({f"{self.prefix}_{name}": value for name, value in measures.items()})


def _measured(drawn: PairedImages, embed: Any, far: float) -> dict[str, float]:
    distances, pairs = drawn.distances(embed), drawn.pairs
    verification = verify(distances, pairs.same, pairs.folds)
    return {
        "accuracy": verification.accuracy,
        "val": val_at_far(distances, pairs.same, far).val,
        "area": verification.area_under_curve,
    }

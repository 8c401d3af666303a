"""The distance up to which two images are of the same person, chosen on pairs."""

from __future__ import annotations

import keras

from .....components.base.errors import BadDataError
from .....components.data.faces.faces import Faces
from .....models.facenet.measures.verification import best_threshold, val_at_far
from ..embedding import compile_embedding
from .paired_images import PairedImages, drawn_images


def choose_threshold(
    model: keras.Model,
    data: Faces,
    far: float | None = None,
    pairs: int = 2000,
    seed: int = 0,
) -> float:
    """Returns a threshold on squared distances, chosen on pairs that the model was not trained on.

    Args:
        model: from float32 images `(B, H, W, C)` in [0, 1] to embeddings `(B, D)`.
        data: transformed examples. The pairs are drawn of the split `eval`, or of `train` if `eval`
            has no pairs of both kinds.
        far: float in (0, 1]. The threshold is the largest one at which no more than this share of
            the pairs of different persons is accepted; `None` or 0: the one of the best accuracy.
        pairs: integer. The number of pairs, half of them of the same person where there are so
            many.
        seed: integer, of the draw.

    Raises:
        BadDataError: neither split has pairs of both kinds.
    """
    drawn = training_pairs(data, pairs, seed)
    distances = drawn.distances(compile_embedding(model, data.image_shape))
    if far:
        return val_at_far(distances, drawn.pairs.same, far).threshold
    return best_threshold(distances, drawn.pairs.same)


def training_pairs(data: Faces, pairs: int, seed: int) -> PairedImages:
    """Draws pairs of the split `eval`, or of `train` if `eval` has none of both kinds.

    Raises:
        BadDataError: neither split has.
    """
    problem = None
    for split in ("eval", "train"):
        if data.splits.get(split):
            try:
                return drawn_images(data, split, pairs, seed)
            except ValueError as error:
                problem = error
    raise BadDataError(
        "A threshold needs pairs of the same person and of different persons in the split eval or "
        f"train. Received: {data.splits}"
    ) from problem

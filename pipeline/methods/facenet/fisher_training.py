"""Fisher vectors of a split, computed once, on which a projection is then trained.

Dimensions: N images, H height, W width, C channels, F numbers of a Fisher vector, M principal
components.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from ....components.base.transformed_data import TransformedData
from ....components.data.faces import parsing
from ....components.data.images.pixels import to_floats
from ....models.facenet.fisher_vectors.fisher_network import (
    adapt_fisher_features,
    fisher_features,
    fisher_network,
)
from ....models.facenet.large_margin.principal_projection import PrincipalProjection
from .embedding import BATCH, compile_embedding

_MOST_ADAPTED = 10_000
_ROWS = 8 * BATCH


@dataclasses.dataclass(frozen=True)
class FisherTraining:
    """What does not change while the projection is trained.

    A head is trained on `balanced_batches(…, vectors=fixed.training_vectors)`, and
    `fixed.network(head)` is the model of images.

    Args:
        features: model of `fisher_features`, adapted to the split train.
        projection: `PrincipalProjection`, adapted to its vectors.
        training_vectors: float32 `(N, M)`, the whitened components of each training image, in file
            order.
    """

    features: keras.Model
    projection: PrincipalProjection
    training_vectors: np.ndarray

    @classmethod
    def of(
        cls,
        data: TransformedData,
        mixture: int,
        components: int,
        strides: int = 2,
        report: Callable[[float], None] = lambda share: None,
    ) -> FisherTraining:
        """Learns mixture and principal components of the split train, without its labels.

        Principal components are those of 10,000 images, chosen at random, whose Fisher vectors are
        held in memory: `10,000 · F` float32, twice.

        Args:
            data: transformed examples.
            mixture: integer, the number of Gaussians.
            components: integer, M; at most the number of images and of numbers of a vector.
            strides: integer, pixels between two descriptors.
            report: called with the part of the images whose Fisher vectors are computed.
        """
        pixels = parsing.array(data, "train")[0]
        features = fisher_features(parsing.image_shape(data), components=mixture, strides=strides)
        random = np.random.default_rng(0)
        chosen = np.sort(random.permutation(len(pixels))[:_MOST_ADAPTED])
        looked_at = pixels[np.sort(random.permutation(len(pixels))[:1000])]
        report(0.0)
        adapt_fisher_features(features, to_floats(tf.constant(looked_at)).numpy())
        projection = PrincipalProjection(
            min(components, len(chosen), features.output_shape[1]), whiten=True, name="whitening"
        )
        embed = compile_embedding(features, parsing.image_shape(data))
        found = np.empty((len(chosen), features.output_shape[1]), "float32")
        for rows in _parts(len(chosen)):
            found[rows] = embed(pixels[chosen[rows]])
            report(rows.stop / len(pixels))
        projection.adapt(found)
        vectors = np.empty((len(pixels), projection.components), "float32")
        for rows in _parts(len(chosen)):
            vectors[chosen[rows]] = projection(found[rows])
        others = np.setdiff1d(np.arange(len(pixels)), chosen)
        for rows in _parts(len(others)):
            vectors[others[rows]] = projection(embed(pixels[others[rows]]))
            report((len(chosen) + rows.stop) / len(pixels))
        return cls(features, projection, vectors)

    def vectors(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the whitened components, float32 `(N, M)`, of uint8 images `(N, H, W, C)`."""
        whole = keras.Model(self.features.input, self.projection(self.features.output))
        return compile_embedding(whole, pixels.shape[1:])(pixels)

    def network(self, head: keras.Model) -> keras.Model:
        """Returns the model from images to embeddings, with the trained head."""
        return fisher_network(self.features, self.projection, head)


def _parts(count: int) -> Iterator[slice]:
    """Yields slices of so many rows, each of what is computed between two reports."""
    for begin in range(0, count, _ROWS):
        yield slice(begin, min(begin + _ROWS, count))

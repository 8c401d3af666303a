"""Fisher vectors of a split, computed once, on which a projection is then trained.

Dimensions: N images, H height, W width, C channels, F numbers of a Fisher vector, M principal
components.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from ....components.data.faces.faces import Faces
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


class FisherTraining:
    """What does not change while the projection is trained.

    After `prepare`, a head is trained on
    `balanced_batches(…, vectors=fixed.training_vectors)`, and `fixed.network(head)` is the model of
    images.

    Args:
        data: faces.
        mixture: integer, the number of Gaussians.
        components: integer, M; at most the number of images and of numbers of a vector.
        strides: integer, pixels between two descriptors.

    Attributes:
        features: model of `fisher_features`, adapted to the split train.
        projection: `PrincipalProjection`, adapted to its vectors.
        training_vectors: float32 `(N, M)`, the whitened components of each training image, in file
            order.
    """

    features: keras.Model
    projection: PrincipalProjection
    training_vectors: np.ndarray

    def __init__(self, data: Faces, mixture: int, components: int, strides: int = 2):
        self.data = data
        self.mixture = mixture
        self.components = components
        self.strides = strides

    def prepare(self, report: Callable[[float], None] = lambda share: None) -> None:
        """Learns mixture and principal components of the split train, without its labels.

        Principal components are those of 10,000 images, chosen at random, whose Fisher vectors are
        held in memory: `10,000 · F` float32, twice.

        Args:
            report: called with the part of the images whose Fisher vectors are computed.
        """
        pixels = self.data.array("train")[0]
        features = fisher_features(
            self.data.image_shape, components=self.mixture, strides=self.strides
        )
        random = np.random.default_rng(0)
        chosen = np.sort(random.permutation(len(pixels))[:_MOST_ADAPTED])
        looked_at = pixels[np.sort(random.permutation(len(pixels))[:1000])]
        report(0.0)
        adapt_fisher_features(features, to_floats(tf.constant(looked_at)).numpy())
        projection = PrincipalProjection(
            min(self.components, len(chosen), features.output_shape[1]),
            whiten=True,
            name="whitening",
        )
        embed = compile_embedding(features, self.data.image_shape)
        chosen_vectors = np.empty((len(chosen), features.output_shape[1]), "float32")
        for rows in _parts(len(chosen)):
            chosen_vectors[rows] = embed(pixels[chosen[rows]])
            report(rows.stop / len(pixels))
        projection.adapt(chosen_vectors)
        vectors = np.empty((len(pixels), projection.components), "float32")
        for rows in _parts(len(chosen)):
            vectors[chosen[rows]] = projection(chosen_vectors[rows])
        unseen = np.setdiff1d(np.arange(len(pixels)), chosen)
        for rows in _parts(len(unseen)):
            vectors[unseen[rows]] = projection(embed(pixels[unseen[rows]]))
            report((len(chosen) + rows.stop) / len(pixels))
        self.features, self.projection, self.training_vectors = features, projection, vectors

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

"""The embedding of Fisher-vector faces: fixed descriptors, then one learned projection."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from ..large_margin.principal_projection import PrincipalProjection
from ..networks.mirrored import MirrorImage
from .dense_descriptors import DenseDescriptors
from .fisher_vectors import FisherVectors
from .signed_root import SignedRoot

_IMAGES = 500
_WINDOWS = 200
_BATCH = 50
_VECTORS = "fisher_vectors"


def fisher_features(
    image_shape: Sequence[int],
    components: int = 128,
    size: int = 64,
    strides: int = 2,
    name: str | None = None,
) -> keras.Model:
    """Builds a model from images to Fisher vectors; nothing in it is trained by gradients.

    `DenseDescriptors`, `FisherVectors` of the image and of its mirror image, averaged, and
    `SignedRoot` (Simonyan, Parkhi, Vedaldi & Zisserman 2013, Fisher Vector Faces in the Wild,
    section 2). Fit its mixture with `adapt_fisher_features` before use.

    Example:

    ```python
    features = fisher_features((84, 70, 1), components=16)
    adapt_fisher_features(features, np.random.default_rng(0).random((20, 84, 70, 1)))
    features.predict(np.zeros((2, 84, 70, 1)), verbose=0).shape  # (2, 2112)
    ```

    Args:
        image_shape: ints (H, W, C); half of each side must be at least 21 pixels.
        components: int ≥ 1, Gaussians of the mixture.
        size: int in [1, 128], principal components of a descriptor.
        strides: int ≥ 1, pixels between two descriptors.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` from `image` `(B, H, W, C)`, float in [0, 1], to vectors of norm
        1 `(B, 2 · components · (size + 2))`.

    Raises:
        ValueError: the image is too small, or an argument is out of its range.
    """
    image = keras.Input(tuple(image_shape), name="image")
    describe = DenseDescriptors(strides=strides, name="descriptors")
    gather = FisherVectors(components, size, name=_VECTORS)
    mirror = MirrorImage(name="mirror_image")(image)
    both = keras.layers.Average(name="both")([gather(describe(image)), gather(describe(mirror))])
    return keras.Model(image, SignedRoot(name="signed_root")(both), name=name)


def adapt_fisher_features(features: keras.Model, images: np.ndarray, seed: int = 0) -> None:
    """Fits the mixture of `fisher_features` to images of the training set.

    Args:
        features: model of `fisher_features`.
        images: float `(N, H, W, C)` in [0, 1], of which at most 500, chosen at random, are used.
        seed: int.
    """
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(images))[:_IMAGES]
    describe = features.get_layer("descriptors")
    samples = []
    for begin in range(0, len(chosen), _BATCH):
        batch = np.asarray(images[chosen[begin : begin + _BATCH]], "float32")
        # The model describes images and their mirror images.
        batch = np.where(random.random((len(batch), 1, 1, 1)) < 0.5, batch, batch[:, :, ::-1])
        descriptors = ops.convert_to_numpy(describe(batch))
        windows = random.integers(0, descriptors.shape[1], (len(batch), _WINDOWS))
        samples.append(np.take_along_axis(descriptors, windows[:, :, None], axis=1))
    features.get_layer(_VECTORS).adapt(np.concatenate(samples), seed)


def fisher_head(
    projection: PrincipalProjection,
    embedding_size: int = 128,
    dropout: float = 0.0,
    name: str | None = None,
) -> keras.Model:
    """Builds the trained part: from whitened Fisher vectors to unit embeddings.

    The projection is initialized to the first `embedding_size` principal components (section 3.2 of
    the paper), so that untrained it compares two faces by whitened components.

    Args:
        projection: `PrincipalProjection`, adapted to Fisher vectors.
        embedding_size: int in [1, projection.components].
        dropout: float in [0, 1), of the whitened components.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` from float `(B, projection.components)`, what `projection`
        returns, to unit embeddings `(B, embedding_size)`, float32.

    Raises:
        ValueError: `embedding_size` is out of its range.
    """
    if not 1 <= embedding_size <= projection.components:
        raise ValueError(
            f"`embedding_size` must be in [1, {projection.components}], the number of principal "
            f"components. Received: {embedding_size}"
        )
    vectors = keras.Input((projection.components,), name="vectors")
    x = keras.layers.Dropout(dropout, name="dropout")(vectors) if dropout else vectors
    x = keras.layers.Dense(
        embedding_size,
        use_bias=False,
        kernel_initializer=keras.initializers.Identity(),
        name="projection",
    )(x)
    unit = keras.layers.UnitNormalization(dtype="float32", name="embedding")(x)
    return keras.Model(vectors, unit, name=name)


def fisher_network(
    features: keras.Model,
    projection: PrincipalProjection,
    head: keras.Model,
    name: str | None = None,
) -> keras.Model:
    """Joins features, whitening and the trained head into a model from images to embeddings.

    Whitening and projection are both linear and become one matrix, a tenth of their size.

    Example:

    ```python
    random = np.random.default_rng(0)
    images, labels = random.random((20, 48, 44, 1)), np.repeat(np.arange(5), 4)
    features = fisher_features(images.shape[1:], components=8)
    adapt_fisher_features(features, images)
    vectors = features.predict(images, verbose=0)  # once: they do not change
    projection = PrincipalProjection(12, whiten=True)
    projection.adapt(vectors)
    head = fisher_head(projection, embedding_size=8)
    head.compile("adam", TripletLoss(margin=0.3))
    head.fit(projection(vectors), labels, batch_size=20, verbose=0)
    model = fisher_network(features, projection, head)
    ```

    Args:
        features: model of `fisher_features`, adapted.
        projection: `PrincipalProjection`, adapted to its vectors.
        head: trained model of `fisher_head`.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` from `image` `(B, H, W, C)`, float in [0, 1], to unit embeddings
        `(B, D)`, float32.
    """
    (learned,) = head.get_layer("projection").get_weights()
    basis, mean = (ops.convert_to_numpy(part) for part in (projection.basis, projection.mean))
    kernel = basis.T @ learned
    dense = keras.layers.Dense(kernel.shape[1], dtype="float32", name="projection")
    x = dense(features.output)
    dense.set_weights([kernel, -mean @ kernel])
    unit = keras.layers.UnitNormalization(dtype="float32", name="embedding")(x)
    return keras.Model(features.input, unit, name=name)

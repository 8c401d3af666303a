"""The networks and their layers."""

import keras
import numpy as np

from ...layer_example import LayerExample
from ..fisher_vectors.dense_descriptors import DenseDescriptors
from ..fisher_vectors.fisher_network import fisher_features, fisher_head, fisher_network
from ..fisher_vectors.fisher_vectors import FisherVectors
from ..fisher_vectors.signed_root import SignedRoot
from ..large_margin.principal_projection import PrincipalProjection
from ..networks.energy_normalization import EnergyNormalization
from ..networks.gabor_magnitudes import GaborMagnitudes
from ..networks.inception_block import inception_block
from ..networks.inception_tables import InceptionModule
from ..networks.joined_network import joined_network
from ..networks.l2_pooling import L2Pooling2D
from ..networks.maxout import Maxout
from ..networks.mirrored import MirrorImage, mirrored
from ..networks.resized import resized
from ..networks.small_network import small_network
from ..networks.unit_embedding import UnitEmbedding
from ..networks.zeiler_fergus_network import nn1

SIZE = 3


def _images(*shape):
    return lambda batch: np.random.default_rng(7).random((batch, *shape)).astype("float32")


def _signed(*shape):
    return lambda batch: np.random.default_rng(7).normal(size=(batch, *shape)).astype("float32")


def _directions(batch):
    vectors = np.random.default_rng(8).normal(size=(batch, SIZE))
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype("float32")


def _inception():
    """The branches, poolings and strides of the Inception networks, without their depth."""
    image = keras.Input((5, 4, 2))
    x = inception_block(image, InceptionModule("a", 4, 3, 4, 2, 3, "l2", 3))
    x = inception_block(x, InceptionModule("b", 0, 3, 4, 0, 0, "max", 0, strides=2))
    mean = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, UnitEmbedding(SIZE)(mean))


def _joined():
    """Two networks of few weights, one of which resizes its images."""
    first, second = (
        keras.Sequential([keras.Input(shape), keras.layers.Flatten(), UnitEmbedding(size)])
        for shape, size in (((3, 2, 1), 1), ((6, 4, 1), 2))
    )
    return joined_network([resized(first, (6, 4, 1)), second])


def _fisher():
    """Fisher vectors of few windows, with components that are not adapted."""
    features = fisher_features((44, 42, 1), components=2, size=3, strides=8)
    projection = PrincipalProjection(4)
    projection.build(features.output_shape)
    return fisher_network(features, projection, fisher_head(projection, SIZE))


def _pixels():
    """A network of few weights."""
    return keras.Sequential([keras.Input((4, 3, 1)), keras.layers.Flatten(), UnitEmbedding(SIZE)])


def _network(name, build, shape, **skip):
    return LayerExample(
        name,
        build,
        _images(*shape),
        targets=_directions,
        loss=keras.losses.CosineSimilarity(),
        skip={
            "config": "A network is a functional Keras model, not a class of this package.",
            "empty_batch": "TensorFlow's convolution of an empty batch has the wrong channels.",
            "nan": "On the CPU TensorFlow's max pooling of NaN is the lowest float.",
            **skip,
        },
    )


def layer_examples() -> list[LayerExample]:
    """Returns examples of each layer, of Inception modules, and of narrow networks."""
    fixed = {"fit": "Its weights are not trained by gradients."}
    no_weights = {"fit": "It has no weights.", "save": "It has no weights."}
    return [
        LayerExample("Maxout", lambda: Maxout(3, pieces=2), _signed(4)),
        LayerExample(
            "Maxout-regularized",
            lambda: Maxout(2, pieces=3, kernel_initializer="he_normal", kernel_regularizer="l2"),
            _signed(2, 3, 4),
        ),
        LayerExample("L2Pooling2D", L2Pooling2D, _signed(5, 4, 2), skip=no_weights),
        LayerExample(
            "L2Pooling2D-strided",
            lambda: L2Pooling2D(2, strides=2),
            _signed(5, 4, 2),
            skip=no_weights,
        ),
        LayerExample(
            "GaborMagnitudes",
            lambda: GaborMagnitudes(2),
            _images(12, 10, 1),
            skip={
                **no_weights,
                "empty_batch": "TensorFlow's mirror padding refuses an empty batch.",
            },
        ),
        LayerExample("EnergyNormalization", EnergyNormalization, _images(4, 4, 2), skip=no_weights),
        LayerExample(
            "DenseDescriptors",
            lambda: DenseDescriptors((1.0, 0.5), cell=1, strides=3),
            _images(14, 12, 1),
            skip={
                **no_weights,
                "empty_batch": "TensorFlow's convolution of an empty batch has the wrong channels.",
            },
        ),
        LayerExample("FisherVectors", lambda: FisherVectors(2, size=3), _signed(4, 5), skip=fixed),
        LayerExample("SignedRoot", SignedRoot, _signed(4), skip=no_weights),
        LayerExample("MirrorImage", MirrorImage, _images(4, 4, 1), skip=no_weights),
        _network(
            "small_network", lambda: small_network((32, 32, 1), SIZE, 2, 1, (4, 4)), (32, 32, 1)
        ),
        _network("joined_network", _joined, (6, 4, 1)),
        _network("mirrored", lambda: mirrored(_pixels()), (4, 3, 1)),
        _network("resized", lambda: resized(_pixels(), (8, 6, 1)), (8, 6, 1)),
        _network(
            "fisher_features",
            lambda: fisher_features((44, 42, 1), components=2, size=3, strides=8),
            (44, 42, 1),
            **fixed,
            mixed_precision=fixed["fit"],
        ),
        _network(
            "fisher_network",
            _fisher,
            (44, 42, 1),
            fit="XLA cannot compile TensorFlow's antialiased resizing; its head is trained alone.",
        ),
        LayerExample(
            "fisher_head",
            lambda: fisher_head(PrincipalProjection(4), SIZE, dropout=0.2),
            _signed(4),
            targets=_directions,
            loss=keras.losses.CosineSimilarity(),
            skip={"config": "A network is a functional Keras model, not a class of this package."},
        ),
        _network("inception_block", _inception, (5, 4, 2)),
        _network("nn1", lambda: nn1((24, 16, 1), SIZE, width=0.02), (24, 16, 1)),
    ]

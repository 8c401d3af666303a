"""FaceNet's NN1: the network of Zeiler & Fergus with 1×1 convolutions between its layers."""

import keras

from ...layers.local_response_normalization import LocalResponseNormalization
from ...types import Shape
from .convolution import convolution, scaled
from .maxout import Maxout
from .unit_embedding import UnitEmbedding

_UNITS = 32 * 128


def nn1(
    input_shape: Shape = (220, 220, 3),
    embedding_size: int = 128,
    width: float = 1.0,
    batch_norm: bool = False,
    name: str = "nn1",
) -> keras.Model:
    """Builds NN1 of FaceNet (Schroff et al. 2015, arXiv 1503.03832, Table 1).

    Convolutions of 7×7 and 3×3 (Zeiler & Fergus 2013), before all but the first a 1×1 one, two
    fully connected maxout layers of 4,096 units and two pieces, one linear layer and division by
    its length: 140,025,664 parameters (published: 140 M), of which 98 % are in the fully connected
    layers, and 1.61 billion multiply-adds (1.6 B).

    The table's `concat` joins nothing and is left out; the paper gives no details of `rnorm`, here
    it is `LocalResponseNormalization` with its defaults. Images are first centered to [-1, 1]. The
    layers have the table's names, `conv1`, `pool1`, `rnorm1`, `conv2a`, … `fc2`, the
    last is `embedding`. At full size the weights take 560 MB.

    Example:

    ```python
    model = nn1((64, 64, 3), width=0.1)
    embeddings = model(np.zeros((2, 64, 64, 3), "float32"))  # shape (2, 128)
    ```

    Args:
        input_shape: tuple of int, `(height, width, channels)` of an image.
        embedding_size: int ≥ 1, the dimension D of the embedding.
        width: float > 0, multiplies the number of feature maps of every convolution, of which at
            least 4 remain, and of units of the maxout layers; for experiments on small machines. 1
            is the published network.
        batch_norm: bool, whether every convolution is batch-normalized, which the paper's are not;
            then there is no local response normalization. For training from scratch.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` from `image` `(B, *input_shape)`, float in [0, 1], to embeddings
        `(B, D)`, float32, of length 1.

    Raises:
        ValueError: height, width or channels are unknown, `width` is not positive, or
            `embedding_size` is below 1.
    """
    if None in input_shape:
        raise ValueError(
            "Height, width and channels of the image must be known, for fully connected layers. "
            f"Received: input_shape={tuple(input_shape)}"
        )

    def conv(x, maps, size, name, strides=1):
        return convolution(x, scaled(maps, width), size, name, strides, batch_norm)

    def pool(x, name):
        return keras.layers.MaxPooling2D(3, strides=2, padding="same", name=name)(x)

    def rnorm(x, name):
        return x if batch_norm else LocalResponseNormalization(name=name)(x)

    image = keras.Input(input_shape, name="image")
    x = keras.layers.Rescaling(2.0, offset=-1.0, name="centered")(image)
    x = conv(x, 64, 7, "conv1", strides=2)
    x = rnorm(pool(x, "pool1"), "rnorm1")
    x = conv(conv(x, 64, 1, "conv2a"), 192, 3, "conv2")
    x = pool(rnorm(x, "rnorm2"), "pool2")
    x = conv(conv(x, 192, 1, "conv3a"), 384, 3, "conv3")
    x = pool(x, "pool3")
    x = conv(conv(x, 384, 1, "conv4a"), 256, 3, "conv4")
    x = conv(conv(x, 256, 1, "conv5a"), 256, 3, "conv5")
    x = conv(conv(x, 256, 1, "conv6a"), 256, 3, "conv6")
    x = keras.layers.Flatten(name="flat")(pool(x, "pool4"))
    x = Maxout(scaled(_UNITS, width), pieces=2, name="fc1")(x)
    x = Maxout(scaled(_UNITS, width), pieces=2, name="fc2")(x)
    embedding = UnitEmbedding(embedding_size, dtype="float32", name="embedding")(x)
    return keras.Model(image, embedding, name=name)

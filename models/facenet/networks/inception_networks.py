"""FaceNet's Inception networks: NN2, NN3, NN4, NNS1 and NNS2."""

import keras

from ...layers.local_response_normalization import LocalResponseNormalization
from ...types import Shape
from .convolution import convolution, rectified, scaled
from .inception_block import inception_block
from .inception_tables import NN2_MODULES, NN4_MODULES, NNS1_MODULES, NNS2_MODULES
from .unit_embedding import UnitEmbedding


def nn2(
    input_shape: Shape = (224, 224, 3),
    embedding_size: int = 128,
    width: float = 1.0,
    batch_norm: bool = False,
    name: str = "nn2",
) -> keras.Model:
    """Builds NN2, the largest Inception network of FaceNet (Schroff et al. 2015, Table 2).

    A 7×7 convolution, a 1×1 and a 3×3 one, ten Inception modules, six of them with L2 pooling,
    the mean over positions, one linear layer and division by its length: 7,456,304 parameters
    (published: 7.5 M) and 1.60 billion multiply-adds (1.6 B). Each row's parameters and
    multiply-adds are the table's; of 4a it prints 545 K parameters where the row has 545,536.

    The paper gives no details of "norm": here it is `LocalResponseNormalization` with its defaults.
    Images are first centered to [-1, 1]. Convolutions are named `conv1`, `2_3x3_reduce`, `2_3x3`,
    `3a_1x1`, … (see `inception_block`), the last layer `embedding`.

    Example:

    ```python
    model = nn2((64, 64, 3), width=0.25)
    embeddings = model(np.zeros((2, 64, 64, 3), "float32"))  # shape (2, 128)
    ```

    Args:
        input_shape: tuple, `(height, width, channels)` of an image; height and width may be None.
        embedding_size: int ≥ 1, the dimension D of the embedding.
        width: float > 0, multiplies the number of feature maps of every convolution, of which at
            least 4 remain; for experiments on small machines. 1 is the published network.
        batch_norm: bool, whether every convolution is batch-normalized, which the paper's are not;
            then there is no local response normalization. For training from scratch.
        name: string, the model's name.

    Returns:
        A functional `keras.Model` from `image` `(B, *input_shape)`, float in [0, 1], to embeddings
        `(B, D)`, float32, of length 1.

    Raises:
        ValueError: `width` is not positive, or `embedding_size` is below 1.
    """
    return _network(
        input_shape, embedding_size, width, batch_norm, name, (64, 64, 192), NN2_MODULES
    )


def nn3(
    input_shape: Shape = (160, 160, 3),
    embedding_size: int = 128,
    width: float = 1.0,
    batch_norm: bool = False,
    name: str = "nn3",
) -> keras.Model:
    """Builds NN3: NN2 on images of 160×160, with 0.82 billion multiply-adds.

    See `nn2` for the arguments, the result and the errors. Section 3.3 of the paper: "identical in
    architecture but has a reduced input size".
    """
    return nn2(input_shape, embedding_size, width, batch_norm, name)


def nn4(
    input_shape: Shape = (96, 96, 3),
    embedding_size: int = 128,
    width: float = 1.0,
    batch_norm: bool = False,
    name: str = "nn4",
) -> keras.Model:
    """Builds NN4: NN2 on images of 96×96, with no 5×5 convolutions in 4e, 5a and 5b.

    Published are the input's size, 285 M multiply-adds and "does not use 5x5 convolutions in the
    higher layers" (section 3.3); that these are the modules from 4e on is our reading. It is the
    only choice with 285 M (from 5a on: 289 M; from 4d on: 282 M), and its 6,607,888 parameters
    are the 6.6 M that the section gives as the least of these networks.

    See `nn2` for the arguments, the result and the errors.
    """
    return _network(
        input_shape, embedding_size, width, batch_norm, name, (64, 64, 192), NN4_MODULES
    )


def nns1(
    input_shape: Shape = (165, 165, 3),
    embedding_size: int = 128,
    width: float = 1.0,
    batch_norm: bool = False,
    name: str = "nns1",
) -> keras.Model:
    """Builds a network of the size of NNS1, FaceNet's small Inception network for phones.

    Published are the input's size, 26 M parameters and 220 M multiply-adds (section 3.3 and Table
    3); the layers are OURS: half of NN2's feature maps, the modules 3a, 3c, 4a, 4b, 4c, 4e and 5a,
    and instead of the mean over positions a fully connected layer of 1,344 units, which is how so
    many parameters go with so few operations: 26,135,720 parameters, 219 M multiply-adds.

    See `nn2` for the arguments, the result and the errors; but height and width must be known.
    `width` multiplies the 1,344 units too.
    """
    return _network(
        input_shape, embedding_size, width, batch_norm, name, (32, 32, 96), NNS1_MODULES, 1344
    )


def nns2(
    input_shape: Shape = (140, 116, 3),
    embedding_size: int = 128,
    width: float = 1.0,
    batch_norm: bool = False,
    name: str = "nns2",
) -> keras.Model:
    """Builds a network of the size of NNS2, FaceNet's tiny Inception network for phones.

    Published are the input's size, 4.3 M parameters and 20 M multiply-adds (section 3.3 and Table
    3); the layers are OURS: 3/16 of NN2's feature maps, the modules 3a, 3c, 4a, 4b, 4e, 5a and 5b,
    and instead of the mean over positions a fully connected layer of 1,024 units: 4,263,544
    parameters, 20.0 M multiply-adds. The paper writes 140×116, which we read as height by width,
    faces being higher than wide.

    See `nn2` for the arguments, the result and the errors; but height and width must be known.
    `width` multiplies the 1,024 units too.
    """
    return _network(
        input_shape, embedding_size, width, batch_norm, name, (8, 8, 32), NNS2_MODULES, 1024
    )


def _network(input_shape, embedding_size, width, batch_norm, name, stem, modules, units=0):
    """Builds stem, modules and head; without `units` the head is the mean over positions."""
    if units and None in input_shape:
        raise ValueError(
            "Height, width and channels of the image must be known, for the fully connected layer. "
            f"Received: input_shape={tuple(input_shape)}"
        )

    def normalized(x, name):
        return x if batch_norm else LocalResponseNormalization(name=name)(x)

    def halved(x, name):
        return keras.layers.MaxPooling2D(3, strides=2, padding="same", name=name)(x)

    first, reduced, second = (scaled(maps, width) for maps in stem)
    image = keras.Input(input_shape, name="image")
    x = keras.layers.Rescaling(2.0, offset=-1.0, name="centered")(image)
    x = convolution(x, first, 7, "conv1", strides=2, batch_norm=batch_norm)
    x = normalized(halved(x, "pool1"), "norm1")
    x = convolution(x, reduced, 1, "2_3x3_reduce", batch_norm=batch_norm)
    x = convolution(x, second, 3, "2_3x3", batch_norm=batch_norm)
    x = halved(normalized(x, "norm2"), "pool2")
    for module in modules:
        x = inception_block(x, module, width, batch_norm)
    if units:
        x = keras.layers.Flatten(name="flat")(x)
        x = keras.layers.Dense(
            scaled(units, width),
            use_bias=not batch_norm,
            kernel_initializer="he_normal",
            name="fc",
        )(x)
        x = rectified(x, "fc", batch_norm)
    else:
        x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    embedding = UnitEmbedding(embedding_size, dtype="float32", name="embedding")(x)
    return keras.Model(image, embedding, name=name)

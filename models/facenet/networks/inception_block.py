"""The Inception module: convolutions of three sizes and a pooling, side by side."""

import keras

from .convolution import convolution, scaled
from .inception_tables import InceptionModule
from .l2_pooling import L2Pooling2D

_WINDOW = 3


def inception_block(
    x: keras.KerasTensor, module: InceptionModule, width: float = 1.0, batch_norm: bool = False
) -> keras.KerasTensor:
    """Returns the joined maps of a module's branches on a tensor.

    The branches are a 1×1 convolution, a 3×3 and a 5×5 one, each after a 1×1 one that reduces the
    maps, and a 3×3 pooling with a 1×1 projection (Szegedy et al. 2014, arXiv 1409.4842; Schroff et
    al. 2015, arXiv 1503.03832, Table 2). Branches with 0 maps are left out. With `module.name`
    "3a" the layers are `3a_1x1`, `3a_3x3_reduce`, `3a_3x3`, `3a_5x5_reduce`, `3a_5x5`, `3a_pool`,
    `3a_projection` and `3a`.

    Example:

    ```python
    image = keras.Input((28, 28, 192))
    module = InceptionModule("3a", 64, 96, 128, 16, 32, "max", 32)
    maps = inception_block(image, module)  # shape (None, 28, 28, 256)
    ```

    Args:
        x: tensor `(B, H, W, C)`, float.
        module: `InceptionModule`.
        width: float > 0, multiplies the number of maps of every convolution.
        batch_norm: bool, whether every convolution is batch-normalized.

    Returns:
        A tensor `(B, ceil(H / strides), ceil(W / strides), …)`: the maps of 1×1, 3×3, 5×5 and
        pooling, in this order.

    Raises:
        ValueError: `width` is not positive, or the module's pooling is neither "max" nor "l2".
    """

    def branch(x, maps, size, suffix, strides=1, gain=1.0):
        name = f"{module.name}_{suffix}"
        return convolution(x, scaled(maps, width), size, name, strides, batch_norm, gain)

    branches = []
    if module.one:
        branches.append(branch(x, module.one, 1, "1x1"))
    reduced = branch(x, module.three_reduce, 1, "3x3_reduce")
    branches.append(branch(reduced, module.three, 3, "3x3", module.strides))
    if module.five:
        reduced = branch(x, module.five_reduce, 1, "5x5_reduce")
        branches.append(branch(reduced, module.five, 5, "5x5", module.strides))
    pooled = _pooling(module)(x)
    if module.projection:
        # A norm over nine positions has nine times the mean square of one.
        gain = _WINDOW**2 if module.pooling == "l2" else 1.0
        pooled = branch(pooled, module.projection, 1, "projection", gain=gain)
    return keras.layers.Concatenate(name=module.name)([*branches, pooled])


def _pooling(module):
    name = f"{module.name}_pool"
    if module.pooling == "l2":
        return L2Pooling2D(_WINDOW, strides=module.strides, name=name)
    if module.pooling == "max":
        return keras.layers.MaxPooling2D(_WINDOW, strides=module.strides, padding="same", name=name)
    raise ValueError(f'`pooling` must be "max" or "l2". Received: pooling={module.pooling!r}')

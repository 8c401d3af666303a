"""Descriptors of small windows all over an image: histograms of its gradients' directions."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ...types import Shape, Tensor

_CELLS = 4
_DIRECTIONS = 8
_FLAT = 0.02
_STILL = 1e-4


@keras.saving.register_keras_serializable(package="methodical")
class DenseDescriptors(keras.layers.Layer):
    """Describes windows on a regular grid, at several sizes of the image, by SIFT's histograms.

    A window has 4×4 cells of `cell` pixels. In each cell the gradients of the image are counted by
    8 directions, each with its length and with triangular weights by its distance from the
    cell's center (Lowe 2004, section 6); a gradient `g` counts for the direction `n` with
    `max(0, n·g)^5 / |g|⁴`. The 128 sums are divided by their total and their square roots taken
    (Arandjelović & Zisserman 2012, section 3), which removes the strength of the light. The row and
    the column of the window's center follow, by which Fisher vectors distinguish places of a face
    (Simonyan et al. 2013, Fisher Vector Faces in the Wild, section 2.1). Nothing is trained.

    Example:

    ```python
    y = DenseDescriptors()(np.zeros((1, 84, 70, 1), "float32"))
    y.shape  # (1, 1269, 130)
    ```

    Args:
        scales: tuple of float > 0, the factors by which the image is resized. Defaults to
            (1.0, 0.7, 0.5).
        cell: int ≥ 1, side of a cell in pixels. Defaults to 4.
        strides: int ≥ 1, pixels between two windows. Defaults to 2.

    Input shape: `(B, H, W, C)`, float, in [0, 1], channels last; several channels are averaged.
    At each scale both sides must have at least `5 · cell + 1` pixels.

    Output shape: `(B, N, 130)`, float: N windows, 128 numbers in [0, 1] whose squares have a sum of
    at most 1, then row and column in (-0.5, 0.5), 0 in the middle of the image.

    Raises:
        ValueError: an argument is out of its range, or the image is too small.
    """

    def __init__(
        self,
        scales: Sequence[float] = (1.0, 0.7, 0.5),
        cell: int = 4,
        strides: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not scales or any(scale <= 0 for scale in scales) or cell < 1 or strides < 1:
            raise ValueError(
                "`scales` must be positive and `cell` and `strides` at least 1. "
                f"Received: scales={scales}, cell={cell}, strides={strides}"
            )
        self.scales = tuple(float(scale) for scale in scales)
        self.cell = int(cell)
        self.strides = int(strides)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        """Computes the filters, which are constants and not weights."""
        self._sides(input_shape)
        angles = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
        across, along = np.zeros((2, 3, 3, 1, _DIRECTIONS), "float32")
        across[1, 0], across[1, 2] = -0.5 * np.cos(angles), 0.5 * np.cos(angles)
        along[0, 1], along[2, 1] = -0.5 * np.sin(angles), 0.5 * np.sin(angles)
        self._gradient = across + along
        weights = 1 - np.abs(np.arange(2 * self.cell) + 0.5 - self.cell) / self.cell
        window = np.tile(weights[:, None, None, None], (1, 1, _DIRECTIONS, 1)).astype("float32")
        self._rows, self._columns = window, window.swapaxes(0, 1)

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the descriptors."""
        gray = ops.mean(ops.cast(inputs, "float32"), axis=-1, keepdims=True)
        descriptors = []
        for height, width in self._sides(inputs.shape):
            image = gray
            if (height, width) != tuple(gray.shape[1:3]):
                image = ops.image.resize(
                    gray, (height, width), antialias=True, data_format="channels_last"
                )
            descriptors.append(self._described(image))
        return ops.cast(ops.concatenate(descriptors, axis=1), self.compute_dtype)

    def _described(self, image):
        """Returns the descriptors of an image of one size, `(B, rows · columns, 130)`."""
        _, height, width, _ = image.shape
        around = ops.pad(image, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="symmetric")
        slopes = ops.conv(around, self._gradient, padding="valid", data_format="channels_last")
        # Of 8 directions evenly around, the squares have the sum 4 |g|².
        length = ops.sum(ops.square(slopes), axis=-1, keepdims=True) / 4 + _STILL**2
        toward = ops.relu(slopes)
        cells = toward * ops.square(ops.square(toward) / length)
        for window in (self._rows, self._columns):
            cells = ops.depthwise_conv(cells, window, padding="valid", data_format="channels_last")
        rows, columns = self._grid(height), self._grid(width)
        corners = [
            cells[
                :,
                row * self.cell : row * self.cell + (rows - 1) * self.strides + 1 : self.strides,
                column * self.cell : column * self.cell
                + (columns - 1) * self.strides
                + 1 : self.strides,
            ]
            for row in range(_CELLS)
            for column in range(_CELLS)
        ]
        x = ops.concatenate(corners, axis=-1)
        x = ops.sqrt(x / (ops.sum(x, axis=-1, keepdims=True) + _FLAT))
        places = np.stack(
            np.meshgrid(self._places(rows, height), self._places(columns, width), indexing="ij"),
            axis=-1,
        ).reshape(rows * columns, 2)
        x = ops.reshape(x, (-1, rows * columns, _CELLS * _CELLS * _DIRECTIONS))
        places = ops.zeros_like(x[:, :, :2]) + ops.convert_to_tensor(places.astype("float32"))
        return ops.concatenate([x, places], axis=-1)

    def _grid(self, side):
        """Returns the number of windows along a side."""
        return (side - (_CELLS + 1) * self.cell) // self.strides + 1

    def _places(self, number, side):
        """Returns the windows' centers as fractions of the side, 0 in the middle."""
        centers = np.arange(number) * self.strides + (_CELLS + 1) * self.cell / 2
        return centers / side - 0.5

    def _sides(self, input_shape):
        """Returns height and width at each scale."""
        _, height, width, _ = input_shape
        if height is None or width is None:
            raise ValueError(
                f"The image's height and width must be known. Received: shape {tuple(input_shape)}"
            )
        sides = [(round(height * scale), round(width * scale)) for scale in self.scales]
        least = (_CELLS + 1) * self.cell + 1
        if min(min(both) for both in sides) < least:
            raise ValueError(
                f"At each scale an image must have sides of at least {least} pixels. Received: "
                f"{height} × {width} pixels and scales={self.scales}"
            )
        return sides

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the output."""
        windows = sum(
            self._grid(height) * self._grid(width) for height, width in self._sides(input_shape)
        )
        return (input_shape[0], windows, _CELLS * _CELLS * _DIRECTIONS + 2)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            **super().get_config(),
            "scales": self.scales,
            "cell": self.cell,
            "strides": self.strides,
        }

"""Magnitudes of Gabor wavelets: edges by orientation, whatever their exact place and sign."""

from typing import Any

import keras
import numpy as np
from keras import ops

from ...types import Shape, Tensor

_FLOOR = 1e-2


@keras.saving.register_keras_serializable(package="methodical")
class GaborMagnitudes(keras.layers.Layer):
    """Filters an image with fixed Gabor wavelets and returns the magnitudes of the responses.

    `y_k = √(|x * g_k|² + ε²)` with `g_k(u) = w(u) (e^(i 2π n_k·u / λ) − m)`, Gauss window
    `w = e^(−|u|² / 2σ²)`, `σ = λ / 2`, direction `n_k = (cos πk/K, sin πk/K)` and ε = 0.01. The
    real and the imaginary part each have mean 0 (this is what m does) and norm 1: a constant image
    gives ε. Nothing is trained: learned first layers resemble these filters, which saves learning
    them where there are only thousands of images. This is the first order of the scattering
    transform (Bruna & Mallat 2013, arXiv 1203.1513, section 2). Channels are averaged first, and
    the image is padded by reflection.

    Example:

    ```python
    y = GaborMagnitudes(8, wavelength=4.0, strides=2)(np.zeros((1, 80, 64, 1), "float32"))
    y.shape  # (1, 40, 32, 8)
    ```

    Args:
        orientations: int ≥ 1, the number K of directions, evenly over half a turn.
        wavelength: float ≥ 2, λ in pixels.
        size: odd int ≥ 3, the side of the filters in pixels. Defaults to 7.
        strides: int ≥ 1. Defaults to 1.

    Input shape: `(B, H, W, C)`, float, channels last, both sides above `size // 2`.

    Output shape: `(B, ceil(H / strides), ceil(W / strides), orientations)`, float, at least ε.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        orientations: int = 8,
        wavelength: float = 4.0,
        size: int = 7,
        strides: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if orientations < 1 or strides < 1:
            raise ValueError(
                "`orientations` and `strides` must be at least 1. "
                f"Received: orientations={orientations}, strides={strides}"
            )
        if wavelength < 2:
            raise ValueError(
                "`wavelength` must be at least 2 pixels: shorter waves alias. "
                f"Received: wavelength={wavelength}"
            )
        if size < 3 or size % 2 == 0:
            raise ValueError(f"`size` must be odd and at least 3. Received: size={size}")
        self.orientations = orientations
        self.wavelength = wavelength
        self.size = size
        self.strides = strides
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        """Computes the filters, which are constants and not weights."""
        self._filters = _wavelets(self.orientations, self.wavelength, self.size)

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the magnitudes."""
        gray = ops.mean(inputs, axis=-1, keepdims=True)
        # Zeros around the image would make its border an edge, the stronger the brighter it is.
        around = (self.size // 2, self.size // 2)
        gray = ops.pad(gray, [(0, 0), around, around, (0, 0)], mode="reflect")
        responses = ops.conv(
            gray,
            ops.cast(self._filters, gray.dtype),
            strides=self.strides,
            padding="valid",
            data_format="channels_last",
        )
        real, imaginary = ops.split(responses, 2, axis=-1)
        return ops.sqrt(ops.square(real) + ops.square(imaginary) + _FLOOR**2)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the shape of the output."""
        batch, *sides, _ = input_shape
        sides = [None if side is None else -(-side // self.strides) for side in sides]
        return (batch, *sides, self.orientations)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {
            **super().get_config(),
            "orientations": self.orientations,
            "wavelength": self.wavelength,
            "size": self.size,
            "strides": self.strides,
        }


def _wavelets(orientations, wavelength, size):
    """Returns the real parts and then the imaginary parts, `(size, size, 1, 2K)` float32."""
    steps = np.arange(size) - size // 2
    y, x = np.meshgrid(steps, steps, indexing="ij")
    angles = np.pi * np.arange(orientations) / orientations
    along = x[..., None] * np.cos(angles) + y[..., None] * np.sin(angles)
    window = np.exp(-(x**2 + y**2) / (2 * (wavelength / 2) ** 2))[..., None]
    waves = np.exp(2j * np.pi * along / wavelength)
    wavelets = window * (waves - np.sum(window * waves, axis=(0, 1)) / np.sum(window))
    parts = np.concatenate([wavelets.real, wavelets.imag], axis=-1)
    parts /= np.sqrt(np.sum(parts**2, axis=(0, 1)))
    return parts[:, :, None, :].astype("float32")

"""Decodes images inside a graph one by one, so that a broken one costs no other its answer.

TensorFlow's operations know no exceptions: one that fails, fails the whole call. Only `tf.data` can
leave out an element whose operation failed, and its operations run inside a SavedModel too.

Dimensions: B batch, H height, W width, C channels.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from ....components.data.faces.decoder import FaceDecoder

MOST_PIXELS = 1 << 25
"""An image with more pixels is not decoded: a small file may unfold to any size."""

_BEGINNINGS = {"JPEG": b"\xff\xd8", "PNG": b"\x89P", "GIF": b"GI", "BMP": b"BM"}
_IN_PARALLEL = 4


def decode_each(
    decoder: FaceDecoder, encoded: tf.Tensor, eyes: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes a batch of images and says of each that cannot be decoded why.

    Args:
        decoder: `FaceDecoder` to `(H, W, C)`.
        encoded: string tensor `(B,)`: JPEG, PNG, GIF or BMP files; B may be 0.
        eyes: float32 tensor `(B, 4)`, x and y of the left and the right eye for a decoder that
            aligns; a row that is not finite, or whose eyes are less than a pixel apart, is one of
            unknown eyes. `None`: they are not known.

    Returns:
        uint8 pixels `(B, H, W, C)`, zeros where the image cannot be decoded, and a string tensor
        `(B,)`, empty for images that were decoded and else one sentence. An image that would unfold
        to more than `MOST_PIXELS` pixels is not decoded.
    """
    nothing = tf.zeros(decoder.shape, tf.uint8)

    def read(image: tf.Tensor, *eyes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        problem = _problem(image, decoder)
        # The branch that is not taken is not run: it cannot fail.
        pixels = tf.cond(
            problem == "", lambda: decoder.one(image, *map(_known, eyes)), lambda: nothing
        )
        return pixels, problem

    elements = (encoded,) if eyes is None else (encoded, eyes)
    (pixels, problems), failed = _map_each(read, elements, (nothing, tf.constant("")))
    return pixels, tf.where(failed, _damaged(encoded), problems)


def parse_each(examples: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Takes images and eyes out of serialized examples.

    Args:
        examples: string tensor `(B,)`, serialized `tf.train.Example`s with the feature `image`.

    Returns:
        The encoded images, a string tensor `(B,)`; the eyes, float32 `(B, 4)`, NaN where they are
        not known; and why an example has no image, a string tensor `(B,)`, empty where it has one.
    """
    unknown = tf.fill([4], float("nan"))

    def read(example: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = tf.io.parse_single_example(
            example,
            {
                "image": tf.io.FixedLenFeature([], tf.string),
                "eyes": tf.io.VarLenFeature(tf.float32),
            },
        )
        eyes = features["eyes"].values
        eyes = tf.cond(tf.size(eyes) == 4, lambda: eyes, lambda: unknown)
        return features["image"], tf.ensure_shape(eyes, [4])

    (images, eyes), failed = _map_each(read, (examples,), (tf.constant(""), unknown))
    message = "Expected a serialized tf.train.Example with one value of the feature `image`"
    return images, eyes, tf.where(failed, message, "")


def _map_each(
    function: Callable[..., tuple[tf.Tensor, ...]],
    elements: tuple[tf.Tensor, ...],
    otherwise: tuple[tf.Tensor, ...],
) -> tuple[tuple[tf.Tensor, ...], tf.Tensor]:
    """Returns the function's values for each row, `otherwise` where it fails, and where."""
    count = tf.shape(elements[0])[0]

    @tf.autograph.experimental.do_not_convert
    def numbered(number, row):
        return number, function(*row)

    dataset = tf.data.Dataset.from_tensor_slices(elements).enumerate()
    dataset = dataset.map(numbered, num_parallel_calls=_IN_PARALLEL).ignore_errors()
    # The last element is always there: a batch of nothing but failures has a shape too.
    last = tf.data.Dataset.from_tensors((tf.constant(-1, tf.int64), otherwise))
    dataset = dataset.concatenate(last).batch(tf.cast(count, tf.int64) + 1)
    options = tf.data.Options()
    # One pass over one request is over before it could be tuned.
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    numbers, values = dataset.with_options(options).get_single_element()
    final = tf.shape(numbers)[0] - 1
    places = tf.tensor_scatter_nd_update(
        tf.fill([count], final), numbers[:-1, None], tf.range(final)
    )
    return tuple(tf.gather(value, places) for value in values), places == final


def _known(eyes: tf.Tensor) -> tf.Tensor:
    """Returns eyes `(4,)` as they are, or `(0,)` if they cannot be."""
    apart = tf.norm(eyes[2:] - eyes[:2])
    known = tf.reduce_all(tf.math.is_finite(eyes)) & (apart >= 1)
    return eyes[: 4 * tf.cast(known, tf.int32)]


def _problem(image: tf.Tensor, decoder: FaceDecoder) -> tf.Tensor:
    """Returns what the header of an image tells against it, or ""."""
    begins = {name: tf.strings.substr(image, 0, 2) == two for name, two in _BEGINNINGS.items()}
    length = tf.strings.as_string(tf.strings.length(image))
    _, _, right, bottom = decoder.crop.box or (0, 0, 0, 0)

    def of_size() -> tf.Tensor:
        height, width = tf.case(
            [
                (begins["JPEG"], lambda: _jpeg_size(image)),
                (begins["PNG"], lambda: _png_size(image)),
                (begins["GIF"], lambda: _gif_size(image)),
            ],
            default=lambda: _bmp_size(image),
        )
        size = [tf.strings.as_string(width), " by ", tf.strings.as_string(height), " pixels"]
        large = f"Expected an image of at most {MOST_PIXELS:,} pixels. Received: "
        small = f"Expected an image of at least {right} by {bottom} pixels. Received: "
        return tf.case(
            [
                (height * width > MOST_PIXELS, lambda: tf.strings.join([large, *size])),
                ((width < right) | (height < bottom), lambda: tf.strings.join([small, *size])),
            ],
            default=lambda: tf.constant(""),
        )

    unknown = "Expected a JPEG, PNG, GIF or BMP file. Received: "
    return tf.case(
        [
            (tf.reduce_any(tf.stack(list(begins.values()))), of_size),
            (tf.strings.length(image) == 0, lambda: tf.constant(f"{unknown}no bytes")),
        ],
        default=lambda: tf.strings.join([unknown, length, " bytes that begin as none of these"]),
    )


def _damaged(encoded: tf.Tensor) -> tf.Tensor:
    """Returns what to say of images that begin well and cannot be decoded, `(B,)`."""
    kinds = tf.fill(tf.shape(encoded), "BMP")
    for name, two in _BEGINNINGS.items():
        kinds = tf.where(tf.strings.substr(encoded, 0, 2) == two, name, kinds)
    length = tf.strings.as_string(tf.strings.length(encoded))
    return tf.strings.join(
        ["Expected a whole ", kinds, " file. Received: ", length, " bytes, damaged or cut short"]
    )


def _jpeg_size(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    shape = tf.cast(tf.image.extract_jpeg_shape(image), tf.int64)
    return shape[0], shape[1]


def _png_size(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return _number(image, 20, 4, big=True), _number(image, 16, 4, big=True)


def _gif_size(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return _number(image, 8, 2), _number(image, 6, 2)


def _bmp_size(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    height, width = _number(image, 22, 4), _number(image, 18, 4)
    # A BMP that is stored from the top has a negative height.
    return tf.where(height >= 1 << 31, (1 << 32) - height, height), width


def _number(image: tf.Tensor, place: int, size: int, big: bool = False) -> tf.Tensor:
    """Returns an unsigned number that stands in some bytes, int64."""
    values = tf.cast(tf.io.decode_raw(tf.strings.substr(image, place, size), tf.uint8), tf.int64)
    powers = [256**power for power in range(size)]
    return tf.reduce_sum(values * tf.constant(powers[::-1] if big else powers, tf.int64))

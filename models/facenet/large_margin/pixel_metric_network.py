"""The baselines on pixels: eigenfaces, with or without a learned metric."""

from collections.abc import Sequence

import keras

from .large_margin_metric import LargeMarginMetric
from .principal_projection import PrincipalProjection


def pixel_metric_network(
    image_shape: Sequence[int],
    projection: PrincipalProjection,
    metric: bool = True,
    size: int | None = None,
    name: str | None = None,
) -> keras.Model:
    """Returns a model from images to vectors: principal components, then a metric.

    Example:

    ```python
    images, labels = np.random.default_rng(0).random((64, 28, 24, 1)), np.tile(np.arange(8), 8)
    projection = PrincipalProjection(10)
    projection.adapt(images)
    model = pixel_metric_network((28, 24, 1), projection)
    model.compile("adam", loss=LargeMarginLoss())
    model.fit(images, labels, batch_size=32)
    ```

    Args:
        image_shape: ints (H, W, C).
        projection: adapted `PrincipalProjection`; it is not trained.
        metric: bool, whether a `LargeMarginMetric` follows. Without it the model has no weights to
            train, and distances are those of eigenfaces. Defaults to True.
        size: int > 0, the dimension of the metric's output, or `None` for all components.
        name: string, the model's name.

    Returns:
        `keras.Model` from float images (B, H, W, C) in [0, 1] to vectors (B, D), not of unit norm.

    Raises:
        ValueError: for a size without a metric.
    """
    if size is not None and not metric:
        raise ValueError(f"Expected a size only with a metric. Received: size={size}, metric=False")
    images = keras.Input(tuple(image_shape), name="images")
    vectors = projection(images)
    if metric:
        vectors = LargeMarginMetric(size, name="metric")(vectors)
    return keras.Model(images, vectors, name=name)

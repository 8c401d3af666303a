"""Learns the shape of training images, together with their names."""

from __future__ import annotations

import collections
import functools
from collections.abc import Mapping
from typing import Any

from ...base.errors import BadDataError
from ...io.records import to_text
from ..reading.count_features import Counters, CountFeatures
from . import image_files

Shape = tuple[int, int, int]


def count_names_and_shapes(name: str, parameters: Any) -> CountFeatures:
    """Returns what counts a feature of text and, unless all is set, the images' shapes.

    Args:
        name: name of the feature of text.
        parameters: options with `height`, `width` and `channels`, 0 where the images decide.
    """
    measures = not (parameters.height and parameters.width and parameters.channels)
    return CountFeatures(2, functools.partial(_count, name=name, measures=measures))


def _count(counters: Counters, features: Mapping[str, Any], name: str, measures: bool) -> None:
    names, shapes = counters
    names[to_text(features[name][0])] += 1
    if measures:
        try:
            shapes[image_files.shape(features["image"][0])] += 1
        except ValueError:
            # Not of one shape: the kind's `Decode` makes it a dead letter with the reason.
            shapes[None] += 1


def common_shape(shapes: collections.Counter[Shape | None]) -> Shape | None:
    """Returns the most common shape, the largest of several, `None` where there is none."""
    known = [shape for shape in shapes if shape is not None]
    return max(known, key=lambda shape: (shapes[shape], shape), default=None)


def image_shape(parameters: Any, common: Shape | None, images: int) -> list[str]:
    """Returns the lines of the asset `image_shape`: the options, or else the most common shape.

    Raises:
        BadDataError: neither sets all sizes.
    """
    requested = (parameters.height, parameters.width, parameters.channels)
    shape = [size or learned for size, learned in zip(requested, common or (0, 0, 0), strict=True)]
    if not all(shape):
        raise BadDataError(
            f"The training images must have a height, a width and channels; set what is missing, "
            f"for example --set transform.height=64. Received: {shape} from "
            f"{images} images, none of which can be decoded"
        )
    return [str(size) for size in shape]

"""What the methods that read labelled images have in common: sources, transform, samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ....components.data.labelled_images.options import (
    BundledOptions,
    FolderOptions,
    IdxOptions,
    TfdsOptions,
    TransformOptions,
)
from ..method import Source


def read_bundled(parameters: BundledOptions, data_dir: str | None) -> Any:
    """Source `bundled`."""
    from ....components.data.labelled_images.transforms import ReadBundled

    return ReadBundled(parameters)


def read_idx(parameters: IdxOptions, data_dir: str | None) -> Any:
    """Source `idx`."""
    from ....components.data.labelled_images.transforms import ReadIdx

    return ReadIdx(parameters, data_dir or "")


def read_tfds(parameters: TfdsOptions, data_dir: str | None) -> Any:
    """Source `tfds`."""
    from ....components.data.labelled_images.transforms import ReadTfds

    return ReadTfds(parameters, data_dir or "")


def read_images(parameters: FolderOptions, data_dir: str | None) -> Any:
    """Source `images`."""
    from ....components.data.labelled_images.transforms import ReadImages

    return ReadImages(parameters, data_dir or "")


def analyze(parameters: TransformOptions) -> Any:
    """Learns the classes and the images' shape."""
    from ....components.data.labelled_images.transforms import Analyze

    return Analyze(parameters)


def transform(parameters: TransformOptions, assets: Mapping[str, Sequence[str]]) -> Any:
    """Decodes images."""
    from ....components.data.labelled_images.transforms import Decode

    return Decode(parameters, assets)


def sample(features: Mapping[str, Any]) -> Mapping[str, str]:
    """Returns a raw example for the report."""
    from ....components.data.labelled_images.examples import sample as shown

    return shown(features)


def figures(rows: list[dict[str, Any]]) -> Mapping[str, str]:
    """Draws wrong answers for the report."""
    from .figures import wrong_answers

    return wrong_answers(rows)


SOURCES = {
    "bundled": Source(
        description="scikit-learn's 1,797 digits of 8×8 pixels",
        read=read_bundled,
        options=BundledOptions,
    ),
    "idx": Source(
        description="MNIST and its like: a folder with the four IDX files (.gz or not)",
        read=read_idx,
        options=IdxOptions,
        needs_data_dir=True,
    ),
    "images": Source(
        description="JPEG, PNG, GIF or BMP files as [<split>/]<class>/<file>, a folder or .zip",
        read=read_images,
        options=FolderOptions,
        needs_data_dir=True,
    ),
    "tfds": Source(
        description="a prepared tensorflow-datasets data set of labelled images (mnist)",
        read=read_tfds,
        options=TfdsOptions,
        needs_data_dir=True,
    ),
}
"""Sources of labelled images by name; the first needs no download."""

PREDICT_INPUTS = {"image": "an image: @FILE of JPEG, PNG, GIF or BMP"}

PREDICT_FILES = {"serving_default": ("image",)}

"""Opens data sets that `tensorflow-datasets` has prepared on disk; nothing is downloaded."""

from __future__ import annotations

from typing import Any

from ...base.errors import BadDataError
from ...io import filesystem


def open_builder(name: str, data_dir: str) -> Any:
    """Returns the `tfds.core.DatasetBuilder` of a data set.

    Args:
        name: string, as in `tfds.builder`.
        data_dir: string. The folder of TFDS, which holds a folder for each data set.

    Raises:
        BadDataError: there is no such data set, or it is not prepared there.
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError, AssertionError) as error:
        raise BadDataError(
            f"--set example_gen.dataset must name a data set of TFDS that is prepared in "
            f"--data-dir. Received: {name!r} in {data_dir}: {str(error).splitlines()[0]}"
        ) from error
    if not filesystem.exists(str(builder.data_dir)):
        raise BadDataError(
            f"A TFDS data set must be prepared before it is read: nothing is downloaded here. "
            f"Received: {name!r}, which is not in {data_dir}. Prepare it with: "
            f'python -c "import tensorflow_datasets as tfds; '
            f"tfds.builder('{name}', data_dir='{data_dir}').download_and_prepare()\""
        )
    return builder


def nonempty_splits(builder: Any) -> list[str]:
    """Returns the names of a data set's splits that have examples, sorted."""
    splits = builder.info.splits
    return sorted(name for name in splits if splits[name].num_examples)

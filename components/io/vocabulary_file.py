"""A vocabulary file as the content of a lookup table inside a SavedModel."""

from __future__ import annotations

import tensorflow as tf

from . import filesystem


class VocabularyFile(tf.lookup.TextFileInitializer):
    """Fills a table from a vocabulary file, which becomes an asset of the SavedModel.

    TensorFlow names such a table after the file's path, and tables with the same name are shared.
    Here the name is a hash of the content, so that it holds no local path and two models with
    different vocabularies can be used in one process.
    """

    def __init__(
        self,
        path: str,
        key_dtype: tf.DType,
        key_index: int,
        value_dtype: tf.DType,
        value_index: int,
    ):
        self._content_name = f"vocabulary_{filesystem.sha256(path)[:16]}_{key_index}_{value_index}"
        super().__init__(path, key_dtype, key_index, value_dtype, value_index)

    @property
    def _shared_name(self) -> str:
        return self._content_name


def line_numbers(path: str, unknown: int) -> tf.lookup.StaticHashTable:
    """Returns a table from a vocabulary file's lines to their numbers from 0, int64.

    Args:
        path: string. The file.
        unknown: integer. The number of all other strings.
    """
    index = tf.lookup.TextFileIndex
    content = VocabularyFile(path, tf.string, index.WHOLE_LINE, tf.int64, index.LINE_NUMBER)
    return tf.lookup.StaticHashTable(content, unknown)


def numbered_lines(path: str) -> tf.lookup.StaticHashTable:
    """Returns a table from numbers from 0, int64, to a vocabulary file's lines, `""` beyond."""
    index = tf.lookup.TextFileIndex
    content = VocabularyFile(path, tf.int64, index.LINE_NUMBER, tf.string, index.WHOLE_LINE)
    return tf.lookup.StaticHashTable(content, "")

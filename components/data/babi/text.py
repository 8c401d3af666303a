"""Sentences to words and n-grams: in Python for Beam, in TensorFlow for serving; both agree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

_PUNCTUATION = r'[.?!,;:"()]'
_PYTHON_PUNCTUATION = re.compile(_PUNCTUATION)
NGRAM_SEPARATOR = "_"


def tokenize(sentence: str) -> list[str]:
    """Splits a sentence into lower-case words without punctuation.

    Example:

    >>> tokenize("Mary got the milk there.")
    ['mary', 'got', 'the', 'milk', 'there']
    """
    return _PYTHON_PUNCTUATION.sub(" ", sentence.lower()).split()


def ngrams(words: Sequence[str], longest: int) -> list[str]:
    """Returns the 2-grams up to the `longest`-grams of consecutive words, joined with `_`.

    Example:

    >>> ngrams(["mary", "got", "milk"], 3)
    ['mary_got', 'got_milk', 'mary_got_milk']
    """
    return [
        NGRAM_SEPARATOR.join(words[start : start + size])
        for size in range(2, longest + 1)
        for start in range(len(words) - size + 1)
    ]


def tokenize_tensor(sentences: tf.Tensor) -> tf.RaggedTensor:
    """`tokenize` on a string tensor `(N,)`; returns a ragged tensor of words `(N, None)`."""
    import tensorflow as tf

    lower = tf.strings.lower(sentences, encoding="utf-8")
    return tf.strings.split(tf.strings.regex_replace(lower, _PUNCTUATION, " "))


def features_tensor(sentences: tf.Tensor, longest: int) -> tf.RaggedTensor:
    """Words and then n-grams of a string tensor `(N,)`; returns a ragged tensor `(N, None)`."""
    import tensorflow as tf

    words = tokenize_tensor(sentences)
    if longest < 2:
        return words
    sizes = list(range(2, longest + 1))
    return tf.concat([words, tf.strings.ngrams(words, sizes, separator=NGRAM_SEPARATOR)], axis=1)


def split_sentences(stories: tf.Tensor) -> tf.RaggedTensor:
    """Splits plain stories `(B,)` into sentences; returns a ragged string tensor `(B, None)`.

    A sentence ends with a line or with a full stop or exclamation mark before a space. Line ids
    as in the published format (`1 Mary moved …`) are dropped.
    """
    import tensorflow as tf

    broken = tf.strings.regex_replace(stories, r"([.!])\s+", "\\1\n")
    lines = tf.strings.split(broken, "\n")
    stripped = tf.ragged.map_flat_values(
        lambda flat: tf.strings.strip(tf.strings.regex_replace(flat, r"^\s*\d+\s+", "")), lines
    )
    return tf.ragged.boolean_mask(stripped, stripped != "")

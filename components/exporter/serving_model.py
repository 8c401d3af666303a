"""What a method passes to the Exporter: signatures, requests and their expected outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

EXTRA = "assets.extra"
"""Folder in a SavedModel for files that no loader reads."""

SIGNATURES = "signatures.json"


@dataclasses.dataclass(frozen=True)
class Input:
    """An input of a signature.

    Args:
        spec: `tf.TensorSpec`; the first dimension is the batch (`None`).
        help: string. What a user enters for it; `""` for an input that users are not asked for.
        file: whether a user has a file with these bytes, so that `methodical predict` takes its
            path as an argument and not as an option.
    """

    spec: Any
    help: str = ""
    file: bool = False


@dataclasses.dataclass(frozen=True)
class Signature:
    """One signature of the SavedModel.

    Args:
        function: takes the inputs by keyword, returns a dict of tensors; TensorFlow ops only.
        inputs: `Input` by name, in the order in which a user is asked for them. Where all have help
            texts, `methodical predict` offers the signature.
        requests: arrays by input name, at least 32 rows (as many as there are examples if there
            are fewer): the warm-up requests.
        references: the outputs that the *trained Keras models* give for the requests, computed
            from the transformed examples as in training and not through `function`: arrays by
            output name. Outputs that are not listed are not compared. `None`: nothing to compare.
    """

    function: Callable[..., Mapping[str, Any]]
    inputs: Mapping[str, Input]
    requests: Mapping[str, Any]
    references: Mapping[str, Any] | None = None


@dataclasses.dataclass(frozen=True)
class ServingModel:
    """All signatures of a method's SavedModel.

    Args:
        signatures: by name; `serving_default` (what a client has), `serving_examples` (serialized
            `tf.train.Example`s, input `examples`) and a raw-tensor signature.
        track: Keras models, lookup tables and other trackable objects that the functions use.
        facts: texts by heading about what else was done to the models, for screen and report.
    """

    signatures: Mapping[str, Signature]
    track: Sequence[Any]
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)

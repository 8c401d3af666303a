"""What a method hands to the Exporter: signatures, requests and the outputs they must give."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Signature:
    """One signature of the SavedModel.

    Args:
        function: takes the inputs by keyword, returns a dict of tensors; TensorFlow ops only.
        inputs: `tf.TensorSpec` by input name; the first dimension is the batch (`None`).
        requests: arrays by input name, at least 32 rows (as many as there are examples if there
            are fewer): the warm-up requests.
        references: the outputs that the *trained Keras models* give for the requests, computed
            from the transformed examples as in training and not through `function`: arrays by
            output name. Outputs that are not listed are not compared. `None`: nothing to compare.
    """

    function: Callable[..., Mapping[str, Any]]
    inputs: Mapping[str, Any]
    requests: Mapping[str, Any]
    references: Mapping[str, Any] | None = None


@dataclasses.dataclass(frozen=True)
class ServingModel:
    """All signatures of a method's SavedModel.

    Args:
        signatures: by name; `serving_default` (what a client has), `serving_examples` (serialized
            `tf.train.Example`s, input `examples`) and a raw-tensor signature.
        track: Keras models, lookup tables and other trackable objects that the functions use.
        facts: what else was done to the models, texts by heading, for the screen and the report.
    """

    signatures: Mapping[str, Signature]
    track: Sequence[Any]
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)

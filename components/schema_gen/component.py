"""SchemaGen: infers a schema from the statistics of the training split."""

from __future__ import annotations

from typing import Any, ClassVar

import pydantic

from ..base.artifacts import ExampleStatistics, Schema
from ..base.component import Component, ExecutionContext
from ..base.errors import BadDataError
from ..io import filesystem


class SchemaGen(Component):
    """Writes `schema.pbtxt`, a `tensorflow_metadata` `Schema`, from the split `train`.

    What `schema_inference` infers is meant to hold for all honest data from the same source.

    Parameters:
        infer_feature_shape: whether a feature that always has the same number of values gets a
            fixed shape.
        max_domain_size: largest number of distinct values of a domain; 0 infers no domain.
    """

    INPUTS: ClassVar = {"statistics": ExampleStatistics}
    OUTPUTS: ClassVar = {"schema": Schema}

    class Parameters(Component.Parameters):
        """Parameters of SchemaGen."""

        infer_feature_shape: bool = True
        max_domain_size: pydantic.NonNegativeInt = 100

    @staticmethod
    def execute(context: ExecutionContext) -> None:
        """Infers and writes the schema.

        Raises:
            BadDataError: there are no statistics of the split `train`.
        """
        from google.protobuf import text_format

        from ..statistics_gen import statistics_proto
        from . import schema_inference

        parameters = context.parameters
        by_split: dict[str, Any] = {
            split: statistics_proto.read(
                context.inputs["statistics"].path(f"Split-{split}", "FeatureStats.pb")
            )
            for split in context.inputs["statistics"].properties["splits"]
        }
        train = by_split.pop("train", None)
        if train is None or not train.num_examples:
            raise BadDataError(
                "SchemaGen needs statistics of at least one example in the split 'train'. "
                f"Received: {context.inputs['statistics'].properties['splits']}"
            )
        schema = schema_inference.infer(
            train,
            list(by_split.values()),
            infer_feature_shape=parameters.infer_feature_shape,
            max_domain_size=parameters.max_domain_size,
        )
        output = context.outputs["schema"]
        with filesystem.open_file(output.path("schema.pbtxt"), "w") as writer:
            writer.write(text_format.MessageToString(schema, as_utf8=True))
        domains = sum(feature.WhichOneof("domain_info") is not None for feature in schema.feature)
        output.properties["features"] = len(schema.feature)
        context.counters.update(features=len(schema.feature), domains=domains)
        features = f"{len(schema.feature)} feature{'' if len(schema.feature) == 1 else 's'}"
        context.summary = f"{features}, {domains} with a domain"

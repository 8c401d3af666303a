"""What makes a pipeline: components that fit together, in order."""

from typing import ClassVar

import pytest
from methodical.components.base.artifacts import Examples, Model, ModelEvaluation
from methodical.components.base.component import Channel, Component, LatestBlessed
from methodical.pipeline.run.pipeline import Pipeline


class Generate(Component):
    OUTPUTS: ClassVar = {"examples": Examples}


class Train(Component):
    INPUTS: ClassVar = {"examples": Examples, "before": Model, "compared": ModelEvaluation}
    OPTIONAL_INPUTS = frozenset({"before", "compared"})
    OUTPUTS: ClassVar = {"model": Model}


class Push(Component):
    INPUTS: ClassVar = {"model": Model}


GENERATE = Generate()
TRAIN = Train(
    {"examples": GENERATE.outputs["examples"], "compared": LatestBlessed(ModelEvaluation)}
)
PUSH = Push({"model": TRAIN.outputs["model"]})


def test_each_follows_those_that_it_reads():
    pipeline = Pipeline("toy", "counted", [PUSH, TRAIN, GENERATE])
    assert pipeline.names == ["Generate", "Train", "Push"]
    assert pipeline.needed_for("Train") == {"Generate", "Train"}
    assert pipeline.depending_on("Train") == {"Train", "Push"}
    assert list(TRAIN.channels) == ["examples"]


@pytest.mark.parametrize(
    ("components", "says"),
    [
        ([GENERATE, GENERATE], "each component once. Received: Generate"),
        ([TRAIN], r"input 'examples' is made by no component.*Received: Generate.examples"),
        (
            [Generate(), Train({"examples": Channel("Generate", "lines", Examples)})],
            "Received: Generate.lines",
        ),
        (
            [
                GENERATE,
                Train({"examples": GENERATE.outputs["examples"], "before": TRAIN.outputs["model"]}),
            ],
            "in no circle. Received: Train",
        ),
    ],
)
def test_what_does_not_fit_is_named(components, says):
    with pytest.raises(ValueError, match=says):
        Pipeline("toy", "counted", components)


def test_what_is_resolved_may_be_missing_and_has_its_type():
    with pytest.raises(TypeError, match="'model' must be in OPTIONAL_INPUTS"):
        Push({"model": LatestBlessed(Model)})
    with pytest.raises(TypeError, match=r"takes Model\. Received: ModelEvaluation from Latest"):
        Push({"model": LatestBlessed(ModelEvaluation)})

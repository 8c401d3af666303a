"""What the batch normalization methods hand to the stages and to the report."""

import re

import pytest
from methodical.components.base.artifacts import Examples, TransformGraph
from methodical.components.data.labelled_images.labelled_images import LabelledImages
from methodical.pipeline.methods.batch_norm.inception import figures as inception_figures
from methodical.pipeline.methods.batch_norm.inception import options as inception_options
from methodical.pipeline.methods.batch_norm.inception import paper as inception_paper
from methodical.pipeline.methods.batch_norm.inception import training as inception_training
from methodical.pipeline.methods.batch_norm.inception import variants
from methodical.pipeline.methods.batch_norm.sigmoid import figures as sigmoid_figures
from methodical.pipeline.methods.batch_norm.sigmoid import options as sigmoid_options
from methodical.pipeline.methods.batch_norm.sigmoid import training as sigmoid_training
from methodical.pipeline.methods.batch_norm.training import steps_per_execution
from methodical.pipeline.report.training_summary import TrainingSummary


class Digits(LabelledImages):
    """Transformed digits as far as `fits` looks at them."""

    def asset(self, name):
        return {"classes": ["0", "1", "2"], "image_shape": ["8", "8", "1"]}[name]


DATA = Digits(
    Examples("none", {"splits": {"train": 100, "eval": 20, "test": 10}}), TransformGraph("none")
)


def digits_rows(accuracies):
    layer = "hidden_3_sigmoid"
    return [
        {
            "test_accuracy": value,
            "val_accuracy": 0.5,
            **{f"{layer}/p{p}": p / 10 for p in (15, 50, 85)},
        }
        for value in accuracies
    ]


def test_milestones_are_the_first_records_at_or_above():
    parameters = sigmoid_options.TrainerOptions(record_every=500, steps=2000)
    logs = {
        "batch_norm_1": digits_rows([0.94, 0.95, 0.976, 0.971]),
        "plain_1": digits_rows([0.5, 0.94, 0.94, 0.96]),
    }
    summary = sigmoid_figures.training_summary(parameters, logs)
    assert isinstance(summary, TrainingSummary)
    (table,) = summary.tables
    assert list(table.columns[:4]) == [
        "network",
        "steps to 95 %",
        "steps to 97 %",
        "steps to 97.5 %",
    ]
    assert table.rows == [
        ["batch_norm_1", 1000, 1500, 1500, 0.976, 1500, 0.971],
        ["plain_1", 2000, "not reached", "not reached", 0.96, 2000, 0.96],
    ]
    assert "500 steps" in table.title
    curves, with_norm, without = summary.figures.items()
    assert "Figure 1 (a)" in curves[0]
    # The network without begins below the axis: its line has one point less.
    points = re.findall(r'points="([^"]*)"', curves[1])
    assert [len(line.split()) for line in points] == [4, 3]
    assert with_norm[0].startswith("batch_norm_1")
    assert without[0].startswith("plain_1")
    assert with_norm[1].count("<polyline") == 3


def test_repeats_have_a_mean():
    parameters = sigmoid_options.TrainerOptions(record_every=500, steps=1000, repeats=2)
    logs = {
        "batch_norm_1": digits_rows([0.95, 0.98]),
        "plain_1": digits_rows([0.95, 0.96]),
        "batch_norm_2": digits_rows([0.90, 0.96]),
        "plain_2": digits_rows([0.95, 0.98]),
    }
    *_, with_norm, without = sigmoid_figures.milestones(parameters, logs).rows
    assert with_norm == ["batch_norm, mean", 750, "not reached", "not reached", 0.97, 1000, 0.97]
    assert without == ["plain, mean", 500, "not reached", "not reached", 0.97, 1000, 0.97]


def test_without_a_test_split_the_table_is_of_the_validation():
    logs = {"batch_norm_1": [{"val_accuracy": 0.96, "accuracy": 0.99}]}
    table = sigmoid_figures.milestones(sigmoid_options.TrainerOptions(), logs)
    assert table.rows[0][:2] == ["batch_norm_1", 500]
    assert table.title.startswith("val_accuracy")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["batch_norm_1", "plain_1"]),
        ({"compare": False}, ["batch_norm_1"]),
        ({"repeats": 2}, ["batch_norm_1", "plain_1", "batch_norm_2", "plain_2"]),
    ],
)
def test_sigmoid_fits(options, names):
    fits = sigmoid_training.fits(sigmoid_options.TrainerOptions(**options), DATA)
    assert [fit.name for fit in fits] == names
    assert {(fit.epochs, fit.steps_per_epoch) for fit in fits} == {(100, 500)}
    assert [fit.finish is not None for fit in fits] == [name[0] == "b" for name in names]


def test_inception_table_beside_the_papers():
    parameters = inception_options.TrainerOptions(record_every=100, steps=400)
    logs = {
        "inception": [{"val_accuracy": value} for value in (0.1, 0.2, 0.4, 0.3)],
        "bn_x5": [{"val_accuracy": value} for value in (0.4, 0.5, 0.6, 0.5)],
        "sigmoid": [{"val_accuracy": value} for value in (0.1, 0.1, 0.1, 0.1)],
        "bn_x30_2": [{"val_accuracy": value} for value in (0.1, 0.45, 0.1, 0.1)],
    }
    summary = inception_figures.training_summary(parameters, logs)
    (table,) = summary.tables
    assert "inception's best is 0.4000" in table.title
    assert table.rows == [
        ["inception", 300, 1.0, 0.4, 300, "31 M", 1.0, 0.722],
        ["bn_x5", 100, 3.0, 0.6, 300, "2.1 M", pytest.approx(14.76, abs=0.01), 0.730],
        ["sigmoid", "not reached", None, 0.1, 100, "not reached", None, 0.001],
        ["bn_x30_2", 200, 1.5, 0.45, 200, None, None, None],
    ]
    assert len(summary.figures) == 3
    assert all(svg.count("<polyline") == 2 for svg in summary.figures.values())


def test_inception_fits_and_the_ensembles():
    def names(**options):
        return [
            fit.name
            for fit in inception_training.fits(inception_options.TrainerOptions(**options), DATA)
        ]

    assert names() == list(variants.VARIANTS)
    assert names(variants=["bn_x30", "inception"], ensemble=3) == [
        "inception", "bn_x30", "bn_x30_2", "bn_x30_3",
    ]  # fmt: skip
    assert names(variants=["inception"], ensemble=2) == ["inception", "bn_x30_1", "bn_x30_2"]


def compiled(name, **options):
    parameters = inception_options.TrainerOptions(
        variants=[name], width=0.1, learning_rate=0.02, halve_after=600, **options
    )
    (fit,) = inception_training.fits(parameters, DATA)
    return fit.build()


def test_the_accompanying_changes_are_made_or_not():
    baseline, changed = compiled("inception"), compiled("bn_x30")
    unchanged = compiled("bn_x30", changes=[])

    def facts(model):
        schedule = model.optimizer._learning_rate
        names = [layer.name for layer in model.layers]
        return (
            pytest.approx(schedule.initial_learning_rate),
            schedule.decay_steps,
            "dropout" in names,
            "stem_local_response_norm" in names,
            pytest.approx(float(model.get_layer("stem").kernel_regularizer.l2)),
            "stem_norm" in names,
        )

    assert facts(baseline) == (0.02, 600, True, True, 1e-4, False)
    assert facts(changed) == (0.6, 100, False, False, 2e-5, True)
    assert facts(unchanged) == (0.6, 600, True, True, 1e-4, True)


@pytest.mark.parametrize(
    "options", [{"variants": ["bn_x5", "bn_x5"]}, {"changes": ["l2", "l2"]}, {"variants": []}]
)
def test_variants_and_changes_are_named_once(options):
    with pytest.raises(ValueError, match=r"named once|at least 1"):
        inception_options.TrainerOptions(**options)


@pytest.mark.parametrize("options", [sigmoid_options, inception_options])
def test_training_ends_with_a_record(options):
    with pytest.raises(ValueError, match="Received: steps=1250, record_every=75"):
        options.TrainerOptions(steps=1250, record_every=75)


@pytest.mark.parametrize(("every", "most", "expected"), [(500, 50, 50), (75, 50, 25), (7, 5, 1)])
def test_no_epoch_is_longer_than_asked(every, most, expected):
    assert steps_per_execution(every, most) == expected


def test_the_served_network_is_the_first_of_its_order():
    assert variants.served_name({"inception": 1, "bn_x5": 2}) == "bn_x5"
    assert variants.served_name({"sigmoid": 1, "inception": 2}) == "inception"
    assert variants.served_name({"bn_x30_1": 1, "bn_x30_2": 2}) == "bn_x30_1"


def test_the_papers_values():
    expected = {"inception": 0.722, "bn_baseline": 0.727, "bn_x5": 0.730, "bn_x30": 0.748,
                "bn_x5_sigmoid": 0.698}  # fmt: skip
    figures = {figure.metric: figure for figure in inception_paper.FIGURES}
    assert {name: figures[name].value for name in expected} == expected
    assert all("ILSVRC" in figure.remark for figure in figures.values())

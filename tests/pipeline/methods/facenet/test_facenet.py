"""What FaceNet makes of its parameters, and what it refuses to train."""

import inspect
import types

import keras
import numpy as np
import pydantic
import pytest
import tensorflow as tf
from methodical.components.base.errors import BadDataError
from methodical.components.data.faces.identity_batches import IdentityBatches
from methodical.models.facenet import TripletLoss, UnitEmbedding, small_network
from methodical.pipeline.methods.facenet import figures, training
from methodical.pipeline.methods.facenet import options as facenet_options
from methodical.pipeline.methods.facenet.measured_verification import MeasuredVerification
from methodical.pipeline.methods.facenet.networks import networks
from methodical.pipeline.methods.facenet.plotted import plotted


def options(**changed):
    return facenet_options.TrainerOptions(**changed)


def test_networks_differ_in_what_an_entry_says():
    chosen = options(
        compare=[{"selection": "all"}, {"margin": 0.5, "embedding_size": 64}], margin=0.3
    )
    found = networks(chosen)
    assert list(found) == ["facenet", "selection-all", "margin-0.5-embedding-size-64"]
    assert found["facenet"] is chosen
    assert (found["selection-all"].selection, found["selection-all"].margin) == ("all", 0.3)
    last = found["margin-0.5-embedding-size-64"]
    assert (last.selection, last.margin, last.embedding_size) == ("semi_hard", 0.5, 64)


def test_joined_networks_are_numbered_and_compared_ones_stand_alone():
    entries = [{"network": "fisher", "people": 7, "mirrored": True}, {"margin": 0.2}]
    chosen = options(join=entries, compare=[{"margin": 0.3}], people=9)
    found = networks(chosen)
    assert list(found) == ["facenet-1", "facenet-2", "facenet-3", "margin-0.3"]
    assert found["facenet-1"] is chosen
    second = found["facenet-2"]
    assert (second.network, second.people, second.mirrored) == ("fisher", 7, True)
    assert (found["facenet-3"].people, found["margin-0.3"].margin) == (9, 0.3)
    assert [each.join for name, each in found.items() if name != "facenet-1"] == [[], [], []]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"compare": [{"marign": 0.5}]}, "compare.marign\n *Extra inputs are not permitted.*=0.5"),
        ({"compare": ["margin"]}, "compare.0\n *Input should be a valid dictionary.*'margin'"),
        (
            {"compare": [{"embedding_size": 1.5}]},
            "compare.embedding_size\n *Input should be a valid integer.*input_value=1.5",
        ),
        (
            {"compare": [{"margin": "wide"}]},
            "compare.margin\n *Input should be a valid number.*'wide'",
        ),
        (
            {"compare": [{"margin": 0.5}, {"margin": 0.5}]},
            "must differ .* Received: {'margin': 0.5}, which is one that is named before",
        ),
        (
            {"compare": [{"margin": 0.5}, {"selection": "all"}, {"margin": "0.50"}]},
            "must differ .* Received: {'margin': 0.5}, which is one that is named before",
        ),
        (
            {"compare": [{"selection": "all", "margin": 0.5}, {"margin": 0.5, "selection": "all"}]},
            "must differ .* Received: {'margin': 0.5, 'selection': 'all'}, which is one",
        ),
        ({"compare": [{"margin": 0.2}]}, "Received: {'margin': 0.2}, which is the first one"),
        ({"compare": [{}]}, "Received: {}, which is the first one"),
        ({"compare": [{"compare": []}]}, "compare.compare\n *Extra inputs are not permitted"),
        (
            {"compare": [{"selection": "foo"}]},
            "compare.selection\n *Input should be 'semi_hard', .* or 'all' .*input_value='foo'",
        ),
        (
            {"compare": [{"margin": -1}]},
            "compare.margin\n *Input should be greater than 0 .*input_value=-1",
        ),
        (
            {"compare": [{"margin": 0.05}], "first_margin": 0.1},
            "compare\n.*`first_margin` must be smaller than `margin`.*margin=0.05",
        ),
        ({"join": [{"marign": 0.5}]}, "join.marign\n *Extra inputs are not permitted.*=0.5"),
        (
            {"join": [{"steps": 70}]},
            "join\n.*`steps` must be a multiple.*Received: steps=70, record_every=50",
        ),
        ({"join": [{"shrink": 3}]}, "join.shrink\n *Input should be less than or equal to 2 .*=3"),
        ({"join": [{"people": "few"}]}, "join.people\n *Input should be a valid integer.*'few'"),
        ({"margin": 5}, "margin\n *Input should be less than or equal to 4"),
        ({"first_margin": 5}, "first_margin\n *Input should be less than or equal to 4"),
        ({"first_margin": 0.5}, "smaller than `margin`.*first_margin=0.5, margin=0.2"),
        (
            {"first_margin": 0.1, "steps": 50, "record_every": 50},
            "at least twice `record_every`.*Received: steps=50, record_every=50",
        ),
        ({"steps": 130, "record_every": 50}, "must be a multiple.*steps=130, record_every=50"),
    ],
)
def test_what_is_refused(changed, said):
    with pytest.raises(pydantic.ValidationError, match=said):
        options(**changed)


def test_every_selection_of_the_loss_can_be_chosen():
    for selection in ("semi_hard", "all_semi_hard", "batch_hard", "hard", "all"):
        assert TripletLoss(selection=options(selection=selection).selection).selection == selection


def test_a_name_has_no_blanks():
    entries = [
        {"margin": 0.5, "selection": "all"},
        {"selection": "all_semi_hard"},
        {"maps": [8, 16]},
    ]
    assert list(networks(options(compare=entries))) == [
        "facenet",
        "margin-0.5-selection-all",
        "selection-all-semi-hard",
        "maps-8-16",
    ]


@pytest.mark.parametrize("epochs", [2, 6])
def test_the_margin_grows_to_the_one_that_was_given(monkeypatch, epochs):
    x = np.random.default_rng(0).random((8, 32, 32, 1), np.float32)
    batch = tf.constant(x), tf.constant([0, 0, 1, 1, 2, 2, 3, 3])
    monkeypatch.setattr(training, "_batches", lambda *_, **__: tf.data.Dataset.from_tensors(batch))
    monkeypatch.setattr(training, "_has_pairs", lambda *_: False)
    parameters = options(first_margin=0.1, margin=0.3, steps=epochs, record_every=1)
    fit = training._network_fit("facenet", parameters, None)
    model = keras.Sequential([keras.layers.Flatten(), UnitEmbedding(4)])
    model.compile("sgd", TripletLoss(parameters.margin))
    logs = model.fit(fit.train(), epochs=fit.epochs, callbacks=fit.callbacks(), verbose=0)
    margins = logs.history["margin"]
    assert (margins[0], margins[-1]) == pytest.approx((0.1, 0.3))
    assert np.diff(margins) == pytest.approx(0.2 / (epochs - 1))


def checked(monkeypatch, counts, shape=(64, 64, 3), network="convolutional", **changed):
    monkeypatch.setattr(training, "_has_pairs", lambda *_: False)
    data = types.SimpleNamespace(
        image_shape=shape,
        count=lambda split: sum(counts),
        identity_counts=lambda split: np.array(counts),
    )
    return [fit.name for fit in training.fits(options(network=network, **changed), data)]


@pytest.mark.parametrize(
    ("counts", "changed", "said"),
    [
        # Passes of 2 + 3·20 + 4·30 images by 4, and of 2 + 3·20 + 3·30 by 3.
        (
            [1, 2] + [3] * 20 + [9] * 30,
            {"people": 50},
            "at most --set trainer.people=45 or --set trainer.images=3. Received: people=50, "
            "images=4, singles=0, and in the split train 51 people with two images or more and 1 ",
        ),
        ([9] * 30, {"people": 40, "images": 5}, "at most --set trainer.people=30. Received"),
        ([3, 3], {"people": 2, "images": 5}, "at most --set trainer.images=3. Received"),
        (
            [2, 2],
            {"people": 9, "images": 5},
            "at most --set trainer.people=2 --set trainer.images=2. Received",
        ),
        ([1, 1, 1, 7], {"people": 2}, "need two people .* 1 people with two images or more and 3"),
        ([9, 9, 1], {"people": 2, "singles": 2}, "at most --set trainer.singles=1. Received"),
        ([9] * 9, {"people": 2, "join": [{"people": 8}, {"people": 10}]}, "at most .* people=10"),
    ],
)
def test_data_with_too_few_images_are_refused(monkeypatch, counts, changed, said):
    with pytest.raises(BadDataError, match=said):
        checked(monkeypatch, counts, **changed)


def test_what_the_refusal_names_fits(monkeypatch):
    counts = [1, 2] + [3] * 20 + [9] * 30
    indices = np.repeat(np.arange(len(counts)), counts)
    for people, images, singles in ((45, 4, 0), (50, 3, 0), (45, 4, 1)):
        changed = {"people": people, "images": images, "singles": singles}
        assert checked(monkeypatch, counts, **changed) == ["facenet", "lmnn"]
        IdentityBatches(indices, people, images, singles)


@pytest.mark.parametrize("network", training.LEAST_SIDES)
def test_small_images_are_refused(monkeypatch, network):
    least = training.LEAST_SIDES[network]
    said = f"--set transform.height={least} --set transform.width=50.*16 high and 50 wide"
    with pytest.raises(BadDataError, match=said):
        checked(monkeypatch, [9] * 40, (16, 50, 3), network)
    assert checked(monkeypatch, [9] * 40, (least, least, 3), network) == ["facenet", "lmnn"]


def test_images_must_be_large_enough_when_they_are_shrunk(monkeypatch):
    with pytest.raises(BadDataError, match=r"transform.height=48 --set transform.width=64"):
        checked(
            monkeypatch,
            [9] * 40,
            (47, 64, 1),
            join=[{"shrink": 1.5}, {"network": "fisher", "shrink": 2}],
        )
    names = ["facenet-1", "facenet-2", "lmnn"]
    assert checked(monkeypatch, [9] * 40, (48, 64, 1), join=[{"shrink": 1.5}]) == names


def test_the_least_size_is_that_of_the_network():
    least = training.LEAST_SIDES["convolutional"]
    with pytest.raises(ValueError, match=f"at least {least}"):
        small_network((64, least - 1, 3))
    assert small_network((least, least, 1), 4, maps=()).output_shape == (None, 4)


def test_fewer_images_than_numbers_of_an_embedding_are_refused(monkeypatch):
    with pytest.raises(BadDataError, match=r"trainer\.embedding_size=120 or less.*128 numbers"):
        checked(monkeypatch, [3] * 40, network="fisher", images=3, embedding_size=128)


def test_what_is_measured_by_default_is_what_the_components_measure():
    default, drawn = facenet_options.EvaluatorOptions(), inspect.signature(plotted).parameters
    assert (default.far, default.pairs) == (drawn["far"].default, drawn["pairs"].default)
    assert MeasuredVerification(None).far == default.far


@pytest.mark.parametrize("mirror", [False, True])
def test_a_network_that_shrinks_images_is_trained_and_saved_for_whole_ones(monkeypatch, mirror):
    monkeypatch.setattr(training, "_has_pairs", lambda *_: False)
    chosen = options(shrink=2, mirrored=mirror, maps=[4], embedding_size=6)
    fit = training._network_fit("facenet", chosen, types.SimpleNamespace(image_shape=(64, 80, 1)))
    model = fit.build()
    x = np.random.default_rng(0).random((3, 64, 80, 1), np.float32)
    (small,) = (layer for layer in model.layers if isinstance(layer, keras.Model))
    assert small.input_shape == (None, 32, 40, 1)
    saved = fit.finish(model)
    assert saved.input_shape == (None, 64, 80, 1)
    same = np.allclose(saved(x), saved(x[:, :, ::-1]), atol=1e-5)
    assert same == mirror


def test_the_table_of_the_training_has_the_best_epoch_and_the_minutes():
    epoch = {"loss": 0.1, "held_out_accuracy": 0.9, "held_out_val": 0.5, "active_triplets": 0.125}
    logs = {
        "facenet": [
            {**epoch, "seconds": 30.0, "held_out_area": 0.75},
            {**epoch, "seconds": 60.0, "held_out_area": 0.875, "held_out_accuracy": 0.875},
            {**epoch, "seconds": 30.0, "held_out_area": 0.8},
        ],
        "lmnn": [{"loss": 1.0, "seconds": 5.0}],
    }
    (table,) = figures.training_summary(options(steps=150, record_every=50), logs).tables
    assert table.columns[:5] == ["network", "kind", "images a step", "steps", "minutes"]
    assert table.rows == [["facenet", "convolutional", 128, 150, 2.0, 0.875, 0.875, 0.5, 0.125]]

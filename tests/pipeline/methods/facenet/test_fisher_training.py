"""Fisher vectors of a split, and the network whose projection is trained on them."""

import numpy as np
import pytest
from methodical.components.base.artifacts import TransformGraph
from methodical.components.data.faces.faces import Faces
from methodical.pipeline.methods.facenet import (
    fisher_training,
    options,
    training,
)
from methodical.pipeline.methods.facenet.measured_verification import MeasuredVerification

SHAPE = (44, 42, 1)
PEOPLE, IMAGES = 6, 4


@pytest.fixture(scope="module")
def pixels():
    random = np.random.default_rng(2)
    smooth = random.integers(0, 256, (PEOPLE, 1, 11, 14, 1)).repeat(4, 2).repeat(3, 3)
    noises = random.integers(-60, 61, (PEOPLE, IMAGES, *SHAPE))
    return np.clip(smooth + noises, 0, 255).astype(np.uint8)


@pytest.fixture
def data(write_examples, tmp_path, pixels):
    made = [
        {
            "pixels": [pixels[who, number].tobytes()],
            "label": [who],
            "identity": [f"P{who}"],
            "id": [f"P{who}/{number}"],
            "partners": [],
            "folds": [],
        }
        for who, number in np.ndindex(PEOPLE, IMAGES)
    ]
    graph = TransformGraph(str(tmp_path / "graph"))
    (tmp_path / "graph" / "assets").mkdir(parents=True)
    with open(graph.asset_path("image_shape"), "w") as writer:
        writer.writelines(f"{side}\n" for side in SHAPE)
    # Of people who are met in no other place; their pairs are drawn where they are needed.
    held_out = [{**one, "label": [-1], "identity": ["Q" + one["identity"][0]]} for one in made]
    return Faces(write_examples({"train": made, "eval": held_out}), graph)


def prepared(data, mixture, components, report=lambda share: None):
    fixed = fisher_training.FisherTraining(data, mixture, components)
    fixed.prepare(report)
    return fixed


def test_training_vectors_are_whitened_and_those_of_the_images(data):
    found = prepared(data, mixture=2, components=5)
    vectors = found.training_vectors
    assert vectors.shape == (PEOPLE * IMAGES, 5)
    np.testing.assert_allclose(np.cov(vectors.T), np.eye(5), atol=1e-3)
    whole = data.array("train")[0]
    np.testing.assert_allclose(found.vectors(whole), vectors, atol=1e-3)


def test_images_behind_the_first_ones_get_vectors_too(data, monkeypatch):
    monkeypatch.setattr(fisher_training, "_MOST_ADAPTED", 9)
    monkeypatch.setattr(fisher_training, "_ROWS", 6)
    shares = []
    found = prepared(data, 2, components=5, report=shares.append)
    assert shares == pytest.approx([0, 6 / 24, 9 / 24, 15 / 24, 21 / 24, 1])
    whole = data.array("train")[0]
    np.testing.assert_allclose(found.vectors(whole), found.training_vectors, atol=1e-3)
    assert np.all(np.abs(found.training_vectors).max(axis=1) > 0)


def test_it_is_the_same_each_time(data):
    one, other = (prepared(data, 2, 5) for _ in range(2))
    np.testing.assert_array_equal(one.training_vectors, other.training_vectors)


def test_components_are_never_more_than_the_images(data):
    found = prepared(data, mixture=2, components=800)
    assert found.training_vectors.shape == (PEOPLE * IMAGES, PEOPLE * IMAGES)


def test_the_model_that_is_saved_measures_as_the_head_that_was_trained(data):
    parameters = options.TrainerOptions(
        network="fisher",
        mixture=2,
        whitened=8,
        embedding_size=4,
        dropout=0.0,
        margin=2.0,
        selection="hard",
        people=3,
        images=2,
        steps=4,
        record_every=2,
        baselines=False,
    )
    (fit,) = training.fits(parameters, data)
    shares = []
    fit.prepare(shares.append)
    assert shares == [0.0, 1.0]
    head = fit.build()
    before = head.get_layer("projection").get_weights()[0].copy()
    logs = head.fit(
        fit.train().repeat(),
        steps_per_epoch=fit.steps_per_epoch,
        epochs=fit.epochs,
        callbacks=fit.callbacks(),
        verbose=0,
    ).history
    assert np.abs(head.get_layer("projection").get_weights()[0] - before).max() > 1e-4
    model = fit.finish(head)
    assert model.input_shape == (None, *SHAPE)
    callback = MeasuredVerification(data, "eval")
    callback.set_model(model)
    callback.on_train_begin()
    found = {}
    callback.on_epoch_end(0, found)
    assert 0.5 < found["val_area"] == pytest.approx(logs["held_out_area"][-1], abs=1e-3)

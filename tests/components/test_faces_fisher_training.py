"""Fisher vectors of a split, and the network whose projection is trained on them."""

import numpy as np
import pytest
from methodical.components.artifacts import TransformGraph
from methodical.components.data.faces import fisher_training, parsing
from methodical.components.transformed import TransformedData

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
    return TransformedData(write_examples({"train": made}), graph)


def test_training_vectors_are_whitened_and_those_of_the_images(data):
    found = fisher_training.FisherTraining.of(data, mixture=2, components=5)
    vectors = found.training_vectors
    assert vectors.shape == (PEOPLE * IMAGES, 5)
    np.testing.assert_allclose(np.cov(vectors.T), np.eye(5), atol=1e-3)
    whole = parsing.array(data, "train")[0]
    np.testing.assert_allclose(found.vectors(whole), vectors, atol=1e-3)


def test_images_behind_the_first_ones_get_vectors_too(data, monkeypatch):
    monkeypatch.setattr(fisher_training, "_MOST_ADAPTED", 9)
    found = fisher_training.FisherTraining.of(data, mixture=2, components=5)
    whole = parsing.array(data, "train")[0]
    np.testing.assert_allclose(found.vectors(whole), found.training_vectors, atol=1e-3)
    assert np.all(np.abs(found.training_vectors).max(axis=1) > 0)


def test_it_is_the_same_each_time(data):
    one, other = (fisher_training.FisherTraining.of(data, 2, 5) for _ in range(2))
    np.testing.assert_array_equal(one.training_vectors, other.training_vectors)


def test_components_are_never_more_than_the_images(data):
    found = fisher_training.FisherTraining.of(data, mixture=2, components=800)
    assert found.training_vectors.shape == (PEOPLE * IMAGES, PEOPLE * IMAGES)

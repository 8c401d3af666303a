"""Rows of an evaluation of faces, the pairs they are measured on, and measures during training."""

import base64
import io
import itertools
import json
import os

import keras
import numpy as np
import pytest
import sklearn.cluster
import sklearn.metrics
import tensorflow as tf
from methodical.components.base.artifacts import Examples, TransformGraph
from methodical.components.base.transformed_data import TransformedData
from methodical.components.beam import shards
from methodical.components.evaluator.sliced_means import SlicedMeans
from methodical.components.io import example_proto
from methodical.models.facenet.measures.verification import val_at_far, verify
from methodical.pipeline.methods.facenet import (
    degradation,
    evaluation,
    measured_verification,
    metrics,
)
from methodical.pipeline.methods.facenet.pairs import paired_images, sampling
from PIL import Image

SIDE = 16
PEOPLE, IMAGES = 14, 5
MISSING = "0/none"


def faces(seed, noise=90):
    """uint8 images (PEOPLE, IMAGES, SIDE, SIDE): a smooth pattern a person, with noise."""
    random = np.random.default_rng(seed)
    patterns = random.integers(0, 256, (PEOPLE, 1, SIDE // 4, SIDE // 4))
    large = patterns.repeat(4, axis=2).repeat(4, axis=3)
    noises = random.integers(-noise, noise + 1, (PEOPLE, IMAGES, SIDE, SIDE))
    return np.clip(large + noises, 0, 255).astype(np.uint8)


def listed_pairs(seed):
    """(first, second, fold) names of images: as many of each kind in each of three folds."""
    random = np.random.default_rng(seed)
    within = list(itertools.combinations(range(IMAGES), 2))
    found = []
    for fold in range(3):
        for person in range(PEOPLE):
            one, other = within[random.integers(len(within))]
            found.append((f"{person}/{one}", f"{person}/{other}", fold))
            stranger = (person + 1 + random.integers(PEOPLE - 1)) % PEOPLE
            images = random.integers(IMAGES, size=2)
            found.append((f"{person}/{images[0]}", f"{stranger}/{images[1]}", fold))
    return sorted(set(found))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Splits test, with listed pairs, and eval, without; one listed image is missing."""
    folder = tmp_path_factory.mktemp("faces")
    graph = TransformGraph(str(folder / "graph"))
    os.makedirs(graph.path("assets"))
    with open(graph.asset_path("image_shape"), "w") as writer:
        writer.write(f"{SIDE}\n{SIDE}\n1\n")
    made = Examples(
        str(folder / "transformed"), {"splits": {"test": PEOPLE * IMAGES, "eval": PEOPLE * IMAGES}}
    )
    pairs = [*listed_pairs(3), ("2/1", MISSING, 0)]
    for split, seed in (("test", 1), ("eval", 2)):
        rows = []
        for person, number in np.ndindex(PEOPLE, IMAGES):
            name = f"{person}/{number}"
            own = [(b, fold) for a, b, fold in pairs if a == name]
            rows.append(
                {
                    "pixels": [faces(seed)[person, number].tobytes()],
                    "label": [-1],
                    "identity": [f"{split}-{person}"],
                    "id": [name],
                    "partners": [partner for partner, _ in own] if split == "test" else [],
                    "folds": [fold for _, fold in own] if split == "test" else [],
                }
            )
        encoded = map(example_proto.encode, rows)
        shards.write_shard(made.uri, split, 0, 1, encoded)
    return TransformedData(made, graph)


def embedder(size=6, seed=0):
    """A fixed random projection, of unit length."""
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            keras.layers.Rescaling(1.0, -0.5),
            keras.layers.Flatten(),
            keras.layers.Dense(size, use_bias=False),
            keras.layers.UnitNormalization(),
        ]
    )
    weights = np.random.default_rng(seed).normal(size=(SIDE * SIDE, size))
    model.layers[2].set_weights([weights])
    return model


def embedded_by_hand(pixels, size=6, seed=0):
    weights = np.random.default_rng(seed).normal(size=(SIDE * SIDE, size))
    vectors = (pixels.reshape(-1, SIDE * SIDE) / 255 - 0.5) @ weights
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def by_hand(pixels, pairs, **options):
    """Squared distances, whether the same person, and folds, of pairs of names."""
    vectors = embedded_by_hand(pixels, **options).reshape(PEOPLE, IMAGES, -1)

    def vector(name):
        return vectors[tuple(int(part) for part in name.split("/"))]

    distances = [((vector(one) - vector(other)) ** 2).sum() for one, other, _ in pairs]
    same = [one.split("/")[0] == other.split("/")[0] for one, other, _ in pairs]
    return np.array(distances), np.array(same), np.array([fold for *_, fold in pairs])


def fold_thresholds(distances, same, folds):
    """The best threshold on the other folds of each fold: the widest of the best gaps."""
    found = {}
    for fold in np.unique(folds):
        others = folds != fold
        edges = np.sort(distances[others])
        middles = (edges[1:] + edges[:-1]) / 2
        right = [((distances[others] <= each) == same[others]).sum() for each in middles]
        best = [number for number, count in enumerate(right) if count == max(right)]
        found[fold] = middles[max(best, key=lambda number: edges[number + 1] - edges[number])]
    return found


@pytest.fixture(scope="module")
def found(data):
    models = {"": embedder(), "_other": embedder(seed=1, size=3)}
    return list(evaluation.rows(models, data, "test"))


def of_pairs(rows):
    return [row for row in rows if "distance" in row]


def test_each_listed_pair_has_a_row_with_the_threshold_of_the_other_folds(found):
    pairs = listed_pairs(3)
    rows = {(row["id"], row["fold"]): row for row in of_pairs(found)}
    assert len(rows) == len(pairs)
    for suffix, options in (("", {}), ("_other", {"size": 3, "seed": 1})):
        distances, same, folds = by_hand(faces(1), pairs, **options)
        thresholds = fold_thresholds(distances, same, folds)
        assert 0.6 < ((distances <= np.median(distances)) == same).mean() < 1
        for (one, other, fold), distance, alike in zip(pairs, distances, same, strict=True):
            keys = [(f"{one} | {other}", str(fold + 1)), (f"{other} | {one}", str(fold + 1))]
            (row,) = (rows[key] for key in keys if key in rows)
            assert row["same"] == alike
            assert row[f"accuracy{suffix}"] == float((distance <= thresholds[fold]) == alike)
            if not suffix:
                np.testing.assert_allclose(row["distance"], distance, atol=1e-5)
                np.testing.assert_allclose(row["threshold"], thresholds[fold], atol=1e-5)


def test_val_far_and_eer_are_means_of_the_rows_they_apply_to(data):
    for far in (1e-3, 0.2):
        amounts = evaluation.Amounts(far=far, degraded_pairs=0, images=0)
        rows = list(evaluation.rows({"": embedder()}, data, "test", amounts))
        distances = np.array([row["distance"] for row in rows])
        same = np.array([row["same"] for row in rows])
        assert [row["val"] is None for row in rows] == [not each for each in same]
        assert [row["far"] is None for row in rows] == same.tolist()
        val = np.mean([row["val"] for row in rows if row["same"]])
        attained = np.mean([row["far"] for row in rows if not row["same"]])
        limit = np.sort(distances[~same])[int(far * (~same).sum())]
        assert attained == (distances[~same] < limit).mean() <= far
        assert val == (distances[same] < limit).mean()
        # scikit-learn's curve: where the two errors meet.
        accepted, true, _ = sklearn.metrics.roc_curve(same, -distances, drop_intermediate=False)
        apart = np.abs(accepted - (1 - true)).argmin()
        expected = (accepted[apart] + 1 - true[apart]) / 2
        assert np.mean([row["eer"] for row in rows]) == pytest.approx(expected, abs=1 / len(rows))


def test_the_worst_pairs_come_first_and_have_their_images(data, monkeypatch):
    monkeypatch.setattr(evaluation, "WITH_IMAGES", 2)
    amounts = evaluation.Amounts(degraded_pairs=0, images=0)
    rows = list(evaluation.rows({"": embedder()}, data, "test", amounts))
    right = [row["accuracy"] for row in rows]
    assert right == sorted(right)
    wrong = [row for row in rows if not row["accuracy"]]
    off = [abs(row["distance"] - row["threshold"]) for row in wrong]
    assert off == sorted(off, reverse=True)
    shown = [row for row in rows if "details" in row]
    for same, kind in ((True, "false reject"), (False, "false accept")):
        own = [row for row in wrong if row["same"] == same]
        assert len(own) > 2
        assert [row for row in shown if row["same"] == same] == own[:2]
        assert {row["details"]["wrong"] for row in own[:2]} == {kind}
    details = shown[0]["details"]
    assert shown[0]["id"] == f"{details['first']} | {details['second']}"
    for side in ("first", "second"):
        head, _, content = details[f"{side}_image"].partition(";base64,")
        assert head == "data:image/png"
        pixels = np.array(Image.open(io.BytesIO(base64.b64decode(content))))
        place = tuple(int(part) for part in details[side].split("/"))
        np.testing.assert_array_equal(pixels, faces(1)[place])


def test_rows_are_added_up_as_the_evaluator_does_it(found):
    told = metrics.metrics({"_other": "with other weights"})
    assert list(told)[:2] == ["accuracy", "accuracy_other"]
    means = SlicedMeans(told, metrics.SLICES)
    for row in found:
        means.add(row)
    json.dumps(found, allow_nan=False)
    overall = means.overall()
    assert None not in overall.values()
    pairs = of_pairs(found)
    assert overall["accuracy"] == pytest.approx(np.mean([row["accuracy"] for row in pairs]))
    by_slice = {
        name: [each["slice"][name] for each in means.slices() if name in each["slice"]]
        for name in metrics.SLICES
    }
    assert by_slice["fold"] == ["1", "2", "3"]
    assert by_slice["jpeg quality"] == ["10", "20", "30", "50", "70", "90"]
    # 40, 80, 120, 160 and 256 of 256 pixels are 2.5, 5, 7.5, 10 and 16 of 16.
    assert by_slice["pixels"] == ["4", "25", "64", "100", "256"]
    assert means.mean_over_slices()["slice"] == "fold"


def test_images_that_are_made_worse_are_measured_anew(found):
    by_id = {row["id"]: row for row in found}
    pairs = listed_pairs(3)
    distances, same, folds = by_hand(faces(1), pairs)
    thresholds = fold_thresholds(distances, same, folds)
    right = (distances <= np.array([thresholds[fold] for fold in folds])) == same
    as_it_is = by_id["pixels 256"]
    assert as_it_is["accuracy_degraded"] == (pytest.approx(right.mean()), len(pairs))
    limit = distances[~same].min()
    expected = (pytest.approx((distances[same] < limit).mean()), same.sum())
    assert as_it_is["val_degraded"] == expected
    images = faces(1)
    small = np.array(
        [
            Image.fromarray(image)
            .resize((5, 5), Image.Resampling.BILINEAR)
            .resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            for image in images.reshape(-1, SIDE, SIDE)
        ]
    )
    distances, same, folds = by_hand(small, pairs)
    thresholds = fold_thresholds(distances, same, folds)
    right = (distances <= np.array([thresholds[fold] for fold in folds])) == same
    assert by_id["pixels 25"]["accuracy_degraded"][0] == pytest.approx(right.mean())
    assert by_id["pixels 25"]["pixels"] == "25"
    assert by_id["pixels 25"]["jpeg quality"] is None
    assert by_id["pixels 25"]["accuracy"] is None


def test_jpeg_of_low_quality_is_worse():
    images = faces(1)[:3, 0][..., None]
    errors = [
        np.abs(degradation.compress(images, quality).astype(int) - images).mean()
        for quality in (95, 50, 10)
    ]
    assert errors == sorted(errors)
    assert errors[0] < 4 < errors[2]
    colours = np.repeat(images, 3, axis=3)
    assert degradation.compress(colours, 90).shape == colours.shape
    assert degradation.shrink(colours, 4, 8).shape == colours.shape
    assert degradation.shrink(colours, SIDE, SIDE).tolist() == colours.tolist()


def test_recognition_and_clustering_of_all_images(data, found):
    vectors = embedded_by_hand(faces(1))
    people = np.repeat(np.arange(PEOPLE), IMAGES)
    distances = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    order = distances.argsort(axis=1)
    hits = people[order] == people[:, None]
    by_id = {row["id"]: row for row in found}
    for rank in (1, 5):
        expected = hits[:, :rank].any(axis=1).mean()
        assert by_id["recognition"][f"rank_{rank}"] == (pytest.approx(expected), len(people))
    clustering = by_id["clustering"]
    clusters = sklearn.cluster.AgglomerativeClustering(
        None,
        metric="sqeuclidean",
        linkage="average",
        distance_threshold=clustering["threshold"],
    ).fit_predict(vectors)
    (_, fp), (fn, tp) = sklearn.metrics.cluster.pair_confusion_matrix(people, clusters)
    assert clustering["clusters"] == clusters.max() + 1
    assert clustering["pairwise_f"] == pytest.approx(2 * tp / (2 * tp + fp + fn))


def test_fewer_images_are_of_whole_people(data):
    amounts = evaluation.Amounts(images=4 * IMAGES, degraded_pairs=40)
    rows = {row["id"]: row for row in evaluation.rows({"": embedder()}, data, "test", amounts)}
    assert rows["recognition"]["images"] == 4 * IMAGES
    assert rows["recognition"]["people"] == 4
    assert rows["jpeg quality 10"]["accuracy_degraded"][1] == 40
    assert rows["jpeg quality 10"]["val_degraded"][1] == 20


def test_without_listed_pairs_some_are_drawn(data):
    amounts = evaluation.Amounts(pairs=60, degraded_pairs=0, images=0)
    rows = list(evaluation.rows({"": embedder()}, data, "eval", amounts))
    assert len(rows) == 60
    assert sum(row["same"] for row in rows) == 30
    again = list(evaluation.rows({"": embedder()}, data, "eval", amounts))
    assert [row["id"] for row in again] == [row["id"] for row in rows]


def test_an_index_has_each_listed_pair(data):
    index = paired_images.read_index(data, "test")
    assert index.missing == 1
    assert len(index.listed) == len(listed_pairs(3))
    names = {
        (frozenset((index.ids[one].decode(), index.ids[other].decode())), fold)
        for one, other, fold in zip(
            index.listed.first, index.listed.second, index.listed.folds, strict=True
        )
    }
    assert names == {(frozenset((one, other)), fold) for one, other, fold in listed_pairs(3)}


def test_images_are_read_by_index(data, monkeypatch):
    monkeypatch.setattr(paired_images, "BATCH", 7)
    wanted = np.array([0, 6, 7, 30, 69])
    read = paired_images.read_images(data, "test", wanted)
    expected = faces(1).reshape(-1, SIDE, SIDE, 1)[wanted]
    np.testing.assert_array_equal(read, expected)


def test_pairs_of_one_fold_get_ten():
    same = np.arange(40) % 2 == 0
    numbers = np.arange(40)
    one_fold = sampling.Pairs(numbers, numbers + 1, same, np.zeros(40, np.int64))
    names = np.array([b"a"] * 41, object)
    index = paired_images.SplitIndex(names, names, one_fold, 0)
    pairs = paired_images.verification_pairs(index, 10, seed=0)
    assert np.bincount(pairs.folds).tolist() == [4] * 10
    assert np.bincount(pairs.folds[same]).tolist() == [2] * 10


def test_drawn_pairs():
    identities = [name.encode() for name in "aaaaabbbbcccddefgh"]
    drawn = sampling.draw_pairs(identities, 30, seed=1)
    people = np.array(identities)
    np.testing.assert_array_equal(drawn.same, people[drawn.first] == people[drawn.second])
    assert len({frozenset(pair) for pair in zip(drawn.first, drawn.second, strict=True)}) == len(
        drawn
    )
    assert (drawn.first != drawn.second).all()
    assert drawn.same.sum() * 2 == len(drawn)
    again, other = (sampling.draw_pairs(identities, 30, seed=seed) for seed in (1, 2))
    assert drawn.first.tolist() == again.first.tolist() != other.first.tolist()
    # Too few people for two folds of different ones.
    two = sampling.draw_pairs([b"a", b"a", b"a", b"b", b"b"], 4, seed=0)
    assert sorted(two.folds.tolist()) == [0, 0, 1, 1]
    few = sampling.draw_pairs(identities, 1, seed=0)
    assert few.same.tolist().count(True) == few.same.tolist().count(False) == 2
    for identities in ([b"a", b"b", b"c"], [b"a"] * 5, [b"a", b"a", b"b"], []):
        with pytest.raises(ValueError, match="at least two pairs of the same person and two of"):
            sampling.draw_pairs(identities, 4, seed=0)


def test_the_first_model_is_the_main_one(data):
    with pytest.raises(ValueError, match="must have the suffix"):
        next(evaluation.rows({"_pixels": embedder()}, data, "test"))


def test_verification_during_training(data):
    model = embedder()

    def by_hand():
        drawn = paired_images.drawn_images(data, "eval", 80, 4)
        vectors = model.predict(drawn.pixels / np.float32(255), verbose=0)
        pairs = drawn.pairs
        distances = ((vectors[pairs.first] - vectors[pairs.second]) ** 2).sum(axis=1)
        found = verify(distances, pairs.same, pairs.folds)
        accepted = val_at_far(distances, pairs.same, 0.01).val
        return {"accuracy": found.accuracy, "val": accepted, "area": found.area_under_curve}

    alone = by_hand()
    assert 0.6 < alone["accuracy"] < 1
    callback = measured_verification.MeasuredVerification(data, pairs=80, seed=4, prefix="held_out")
    model.compile("sgd", "mse")
    batches = tf.data.Dataset.from_tensors((np.zeros((2, SIDE, SIDE, 1)), np.ones((2, 6))))
    model.optimizer.learning_rate = 0.0
    history = model.fit(batches, epochs=2, shuffle=False, verbose=0, callbacks=[callback]).history
    assert history["held_out_accuracy"] == [alone["accuracy"]] * 2
    assert history["held_out_val"] == [alone["val"]] * 2
    assert history["held_out_area"] == [alone["area"]] * 2
    model.layers[2].set_weights([np.random.default_rng(9).normal(size=(SIDE * SIDE, 6))])
    after = model.fit(batches, shuffle=False, verbose=0, callbacks=[callback])
    after = after.history["held_out_accuracy"]
    changed = by_hand()
    assert after == [changed["accuracy"]] != [alone["accuracy"]]
    told = {"held_out_accuracy": 0.25}
    callback.on_epoch_end(0, told)
    assert told == {"held_out_accuracy": 0.25}


def test_verification_of_a_model_that_reads_what_was_prepared_of_the_images(data):
    prepared = []

    def prepare(pixels):
        prepared.append(pixels)
        return pixels.reshape(len(pixels), -1) / np.float32(255)

    weights = np.random.default_rng(3).normal(size=(SIDE * SIDE, 6))
    of_images = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(6, use_bias=False),
        ]
    )
    of_vectors = keras.Sequential([keras.Input((256,)), keras.layers.Dense(6, use_bias=False)])
    found = []
    for model, function in ((of_images, None), (of_vectors, prepare)):
        model.set_weights([weights])
        model.compile(keras.optimizers.SGD(0.0), "mse")
        callback = measured_verification.MeasuredVerification(data, pairs=80, prepare=function)
        inputs = np.zeros((2, *model.input_shape[1:]))
        logs = model.fit(inputs, np.ones((2, 6)), epochs=2, verbose=0, callbacks=[callback]).history
        found.append([logs[f"val_{name}"] for name in ("accuracy", "val", "area")])
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert [pixels.dtype for pixels in prepared] == [np.uint8]

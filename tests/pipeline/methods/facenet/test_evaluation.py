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
from methodical.components.beam import shards
from methodical.components.data.faces.faces import Faces
from methodical.components.evaluator.metric import Plotted, SetMeasure
from methodical.components.evaluator.sliced_means import SlicedMeans
from methodical.components.io import example_proto
from methodical.models.facenet.measures.verification import val_at_far, verify
from methodical.pipeline.methods.facenet import (
    degradation,
    evaluation,
    measured_verification,
    metrics,
    networks,
    serving,
)
from methodical.pipeline.methods.facenet.options import EvaluatorOptions, ExporterOptions
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
    return Faces(made, graph)


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


def baseline():
    """The baselines in one model: a projection of unit length, and before that as it is."""
    model = embedder(size=3, seed=1)
    model.layers[2].name = networks.COMPONENTS
    return model


def embedded_by_hand(pixels, size=6, seed=0, unit=True):
    weights = np.random.default_rng(seed).normal(size=(SIDE * SIDE, size))
    vectors = (pixels.reshape(-1, SIDE * SIDE) / 255 - 0.5) @ weights
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if unit else vectors


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
    models = {"facenet": embedder(), "lmnn": baseline()}
    return list(evaluation.evaluate(models, data, "test", EvaluatorOptions()))


def evaluated(data, split="test", models=None, **options):
    """What is yielded of a model alone."""
    models = models or {"facenet": embedder()}
    return list(evaluation.evaluate(models, data, split, EvaluatorOptions(**options)))


def rows_of(found):
    return [item for item in found if isinstance(item, dict)]


def measure_of(found, *names, **of):
    """The only measure with some metrics of a slice."""
    (measure,) = (
        item
        for item in found
        if isinstance(item, SetMeasure) and item.values.keys() == set(names) and item.slice == of
    )
    return measure


DEGRADED = ("accuracy_degraded", "val_degraded")
COMPARED = ("accuracy_compared", "val_compared")


def test_each_listed_pair_has_a_row_with_the_threshold_of_the_other_folds(found):
    pairs = listed_pairs(3)
    rows = {(row["id"], row["fold"]): row for row in rows_of(found)}
    assert len(rows) == len(pairs)
    for suffix, options in (
        ("", {}),
        ("_lmnn", {"size": 3, "seed": 1}),
        ("_eigenfaces", {"size": 3, "seed": 1, "unit": False}),
    ):
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
        rows = rows_of(evaluated(data, far=far, degraded_pairs=0, recognized=0))
        distances = np.array([row["distance"] for row in rows])
        same = np.array([row["same"] for row in rows])
        assert ["val" not in row for row in rows] == [not each for each in same]
        assert ["far" not in row for row in rows] == same.tolist()
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
    rows = rows_of(evaluated(data, degraded_pairs=0, recognized=0))
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
    *_, plotted = found
    assert isinstance(plotted, Plotted)
    json.dumps(plotted.values, allow_nan=False)
    means = SlicedMeans(metrics.METRICS, metrics.SLICES)
    assert [metric.name for metric in means.metrics][:2] == ["accuracy", "accuracy_lmnn"]
    pairs = rows_of(found)
    for row in pairs:
        means.add(row)
    for item in found:
        if isinstance(item, SetMeasure):
            means.add_measure(item)
    json.dumps([pairs, means.measures()], allow_nan=False)
    overall = means.overall()
    # Measured by slice only, and there is one network.
    assert {name for name, value in overall.items() if value is None} == {*DEGRADED, *COMPARED}
    assert not any(means.not_finite.values())
    assert overall["accuracy"] == pytest.approx(np.mean([row["accuracy"] for row in pairs]))
    by_slice = {
        name: [each["slice"][name] for each in means.slices() if name in each["slice"]]
        for name in metrics.SLICES
    }
    assert by_slice["fold"] == ["1", "2", "3"]
    # One network is compared with none.
    assert by_slice["network"] == []
    assert by_slice["jpeg quality"] == ["10", "20", "30", "50", "70", "90"]
    # 40, 80, 120, 160 and 256 of 256 pixels are 2.5, 5, 7.5, 10 and 16 of 16.
    assert by_slice["pixels"] == ["4", "25", "64", "100", "256"]
    for kind in ("jpeg quality", "pixels"):
        for each in (each for each in means.slices() if kind in each["slice"]):
            measured = {name for name, value in each["metrics"].items() if value is not None}
            assert measured == set(DEGRADED)
            assert each["count"] == len(pairs)
    assert means.mean_over_slices()["slice"] == "fold"


def test_images_that_are_made_worse_are_measured_anew(found):
    pairs = listed_pairs(3)
    distances, same, folds = by_hand(faces(1), pairs)
    thresholds = fold_thresholds(distances, same, folds)
    right = (distances <= np.array([thresholds[fold] for fold in folds])) == same
    as_it_is = measure_of(found, *DEGRADED, pixels="256")
    assert as_it_is.count == len(pairs)
    assert as_it_is.values["accuracy_degraded"] == pytest.approx(right.mean())
    limit = distances[~same].min()
    assert as_it_is.values["val_degraded"] == pytest.approx((distances[same] < limit).mean())
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
    degraded = measure_of(found, *DEGRADED, pixels="25")
    assert degraded.values["accuracy_degraded"] == pytest.approx(right.mean())
    assert degraded.details["sample"].startswith("data:image/png;base64,")


def test_jpeg_of_low_quality_is_worse():
    images = faces(1)[:3, 0][..., None]
    errors = [
        np.abs(degradation.compress(images, quality).astype(int) - images).mean()
        for quality in (95, 50, 10)
    ]
    assert errors == sorted(errors)
    assert errors[0] < 4 < errors[2]
    colors = np.repeat(images, 3, axis=3)
    assert degradation.compress(colors, 90).shape == colors.shape
    assert degradation.shrink(colors, 4, 8).shape == colors.shape
    assert degradation.shrink(colors, SIDE, SIDE).tolist() == colors.tolist()


def test_recognition_and_clustering_of_all_images(data, found):
    vectors = embedded_by_hand(faces(1))
    people = np.repeat(np.arange(PEOPLE), IMAGES)
    distances = ((vectors[:, None] - vectors[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    order = distances.argsort(axis=1)
    hits = people[order] == people[:, None]
    recognition = measure_of(found, "rank_1", "rank_5")
    assert recognition.count == len(people)
    for rank in (1, 5):
        expected = hits[:, :rank].any(axis=1).mean()
        assert recognition.values[f"rank_{rank}"] == pytest.approx(expected)
    clustering = measure_of(found, "pairwise_f")
    clusters = sklearn.cluster.AgglomerativeClustering(
        None,
        metric="sqeuclidean",
        linkage="average",
        distance_threshold=clustering.details["threshold"],
    ).fit_predict(vectors)
    (_, fp), (fn, tp) = sklearn.metrics.cluster.pair_confusion_matrix(people, clusters)
    assert clustering.details["clusters"] == clusters.max() + 1
    assert clustering.values["pairwise_f"] == pytest.approx(2 * tp / (2 * tp + fp + fn))


def test_fewer_images_are_of_whole_people(data):
    some = evaluated(data, recognized=4 * IMAGES, degraded_pairs=40)
    recognition = measure_of(some, "rank_1", "rank_5")
    assert recognition.details == {"images": 4 * IMAGES, "people": 4}
    assert measure_of(some, *DEGRADED, **{"jpeg quality": "10"}).count == 40
    pairs = paired_images.verification_pairs(paired_images.read_index(data, "test"), 1000, 0)
    assert evaluation._some_pairs(pairs, 40).same.sum() == 20


def test_without_listed_pairs_some_are_drawn(data):
    options = {"pairs": 60, "degraded_pairs": 0, "recognized": 0}
    found = evaluated(data, "eval", **options)
    assert not any(isinstance(item, SetMeasure) for item in found)
    rows = rows_of(found)
    assert len(rows) == 60
    assert sum(row["same"] for row in rows) == 30
    again = rows_of(evaluated(data, "eval", **options))
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


def test_the_networks_of_a_comparison_are_measured_on_the_same_pairs(data, monkeypatch):
    embedded = []
    compiled = evaluation.compile_embedding

    def counted(model, shape):
        embed = compiled(model, shape)

        def run(pixels):
            embedded.append((model, len(pixels)))
            return embed(pixels)

        return run

    monkeypatch.setattr(evaluation, "compile_embedding", counted)
    models = {"facenet": embedder(), "margin-0.5": embedder(seed=1, size=3), "lmnn": baseline()}
    compared = evaluated(data, models=models, degraded_pairs=0)
    alone = {
        "facenet": evaluated(data, degraded_pairs=0, recognized=0),
        "margin-0.5": evaluated(
            data,
            models={"facenet": models["margin-0.5"]},
            degraded_pairs=0,
            recognized=0,
        ),
    }
    for name, items in alone.items():
        rows = rows_of(items)
        assert not any(isinstance(item, SetMeasure) for item in items)
        measure = measure_of(compared, *COMPARED, network=name)
        assert measure.count == len(rows)
        accuracy = np.mean([row["accuracy"] for row in rows])
        assert measure.values["accuracy_compared"] == pytest.approx(accuracy)
        val = np.mean([row["val"] for row in rows if row["same"]])
        assert measure.values["val_compared"] == pytest.approx(val)
    # Only the model itself is measured on more than pairs.
    assert rows_of(compared)[0].keys() >= {"accuracy", "accuracy_lmnn", "accuracy_eigenfaces"}
    assert [row["accuracy"] for row in rows_of(compared)] == [
        row["accuracy"] for row in rows_of(alone["facenet"])
    ]
    in_pairs = len({name for pair in listed_pairs(3) for name in pair[:2]})
    assert in_pairs < PEOPLE * IMAGES
    counts = dict.fromkeys(alone, 0)
    for model, count in embedded:
        for name in alone:
            counts[name] += count if model is models[name] else 0
    assert counts["facenet"] == PEOPLE * IMAGES
    assert counts["margin-0.5"] == 2 * in_pairs


def test_joined_networks_are_measured_drawn_and_served_as_one(data, monkeypatch):
    models = {
        "facenet-1": embedder(seed=1),
        "facenet-2": embedder(seed=2),
        "margin-0.3": embedder(seed=3),
    }
    x = faces(1)[0][..., None] / np.float32(255)
    expected = np.concatenate([models[f"facenet-{n}"](x) for n in (1, 2)], axis=1) / np.sqrt(2)
    embedded = []

    def keep(model, *_):
        embedded.append(model(x).numpy())
        return {}

    monkeypatch.setattr(evaluation, "plotted", keep)
    monkeypatch.setattr(serving, "serving_model", keep)
    found = evaluated(data, models=models, degraded_pairs=0, recognized=0)
    serving.serve(models, data, ExporterOptions())
    assert len(embedded) == 2
    for each in embedded:
        np.testing.assert_allclose(each, expected, atol=1e-6)
    vectors = np.concatenate(
        [embedded_by_hand(faces(1), seed=seed) for seed in (1, 2)], axis=1
    ) / np.sqrt(2)
    vectors = vectors.reshape(PEOPLE, IMAGES, -1)
    for row in rows_of(found):
        one, other = (
            vectors[tuple(int(part) for part in name.split("/"))] for name in row["id"].split(" | ")
        )
        assert row["distance"] == pytest.approx(((one - other) ** 2).sum(), abs=1e-5)
    measured = [item.slice["network"] for item in found if isinstance(item, SetMeasure)]
    assert measured == ["facenet", *models]
    whole = measure_of(found, *COMPARED, network="facenet")
    accuracy = np.mean([row["accuracy"] for row in rows_of(found)])
    assert whole.values["accuracy_compared"] == pytest.approx(accuracy)
    for name, model in models.items():
        alone = rows_of(evaluated(data, models={"facenet": model}, degraded_pairs=0, recognized=0))
        measure = measure_of(found, *COMPARED, network=name)
        accuracy = np.mean([row["accuracy"] for row in alone])
        assert measure.values["accuracy_compared"] == pytest.approx(accuracy)


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

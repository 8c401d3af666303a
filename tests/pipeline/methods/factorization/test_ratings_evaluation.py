"""Rows of an evaluation against hand-worked numbers and a transcription, and their figures."""

import json
import math
import os
import types
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import tensorflow as tf
from methodical.components.base.artifacts import TransformGraph
from methodical.components.base.errors import BadDataError
from methodical.components.data.ratings.ratings import RatingExamples
from methodical.components.evaluator.metric import Metric
from methodical.components.evaluator.sliced_means import SlicedMeans
from methodical.pipeline.methods.factorization.ratings import evaluation, figures, metrics


@pytest.fixture
def transformed(tmp_path, write_examples):
    """Writes `(user, item, rating, fold)`s as Transform does."""

    def write(ratings, users, items):
        graph = TransformGraph(str(tmp_path / "graph"))
        os.makedirs(graph.path("assets"), exist_ok=True)
        for name, count in (("users", users), ("items", items)):
            with open(graph.asset_path(name), "w") as writer:
                writer.writelines(f"{name[0]}{number}\n" for number in range(count))
        # Not in the order of the indices, as the files are not.
        order = sorted({user for user, *_ in ratings}, key=lambda user: (user % 3, user))
        given = []
        for user in order:
            own = [one[1:] for one in ratings if one[0] == user]
            names = ("items", "ratings", "folds")
            values = dict(zip(names, map(list, zip(*own, strict=True)), strict=True))
            values["ratings"] = [float(rating) for rating in values["ratings"]]
            given.append({"user": [user], "id": [f"u{user}"], **values})
        return RatingExamples(write_examples({"train": given}), graph)

    return write


def model(scores, ranking=tf.identity):
    """What predicts fixed ratings `(U, I)`, and orders items by them."""
    return types.SimpleNamespace(
        score_users=lambda users: tf.gather(tf.constant(scores, tf.float32), users), ranking=ranking
    )


def rows_of(models, data, threshold=4.0):
    return list(
        evaluation.evaluate(models, data, "train", types.SimpleNamespace(threshold=threshold))
    )


RATINGS = [
    (0, 0, 5, 0),
    (0, 1, 2, 0),
    (0, 2, 4, -1),
    (0, 3, 4, 0),
    (1, 0, 1, 0),
    (1, 4, 4, 1),
    (1, 2, 2, 1),
    (2, 3, 5, 1),
    (2, 2, 3, -1),
]
SCORES = [
    [4.0, 4.5, 5.0, 1.0, 3.0],
    [2.0, 3.0, 2.0, 1.0, 3.5],
    [1.0, 1.0, 1.0, 1.0, 1.0],
]


def test_rows_are_those_worked_by_hand(transformed):
    data = transformed(RATINGS, 3, 5)
    models = {"fold_1": model(SCORES), "fold_2": model(SCORES), "served": None}
    rows = rows_of(models, data)
    assert [(row["fold"], row["user"]) for row in rows] == [
        ("1", "u0"),
        ("1", "u1"),
        ("2", "u1"),
        ("2", "u2"),
    ]
    first, second, third, fourth = rows
    # Errors of u0: 4 - 5, 4.5 - 2, 1 - 4.
    value, count = first["rmse"]
    assert count == 3
    assert value == pytest.approx(math.sqrt((1 + 2.5**2 + 9) / 3))
    assert first["mae"] == (pytest.approx(6.5 / 3), 3)
    # Item 2 is in training; of the others 1, 0, 4, 3 in this order, 0 and 3 are relevant.
    assert first["precision_at_10"] == pytest.approx(0.2)
    assert first["recall_at_10"] == 1.0
    gain = 1 / math.log2(3) + 1 / math.log2(5)
    assert first["ndcg_at_10"] == pytest.approx(gain / (1 + 1 / math.log2(3)))
    assert (first["training_ratings"], first["test_ratings"]) == (1, 3)
    assert first["errors"] == {"-3": 1, "-1": 1, "2.5": 1}
    assert first["details"] == {
        "user": "u0",
        "item": "i3",
        "predicted": 1.0,
        "rating": 4.0,
        "training ratings": 1,
        "test ratings": 3,
    }
    # u1 has rated 0 with one star: nothing relevant.
    assert second["rmse"] == (1.0, 1)
    assert "details" not in second
    for name in ("precision_at_10", "recall_at_10", "ndcg_at_10", "ndcg_at_10_popularity"):
        assert second[name] is None
    # In fold 2 item 0 is training of u1; of 4, 1, 2, 3 the first is relevant.
    assert third["ndcg_at_10"] == 1.0
    assert third["rmse"] == (pytest.approx(math.sqrt(0.5**2 / 2)), 2)
    # All scores are equal: 0, 1, 3 and 4 come in order, 3 is the third.
    assert fourth["ndcg_at_10"] == pytest.approx(1 / math.log2(4))
    # Training of fold 1 has 4, 4, 2, 5 and 3.
    assert first["mae_global_mean"] == (pytest.approx((1.4 + 1.6 + 0.4) / 3), 3)
    # Popular are 2 (3 ratings, but seen by u0), then 3 and 4 (1), then 0 and 1.
    gain = 1 / math.log2(2) + 1 / math.log2(4)
    assert first["ndcg_at_10_popularity"] == pytest.approx(gain / (1 + 1 / math.log2(3)))
    assert all({metric.name for metric in metrics.METRICS} <= set(row) for row in rows)


def plain_ranking(scores, seen, relevant, length=10):
    order = sorted((-score, item) for item, score in enumerate(scores) if item not in seen)
    hits = [item in relevant for _, item in order[:length]]
    gain = sum(hit / math.log2(place + 2) for place, hit in enumerate(hits))
    ideal = sum(1 / math.log2(place + 2) for place in range(min(length, len(relevant))))
    return sum(hits) / length, sum(hits) / len(relevant), gain / ideal


def drawn_ratings(random, users, items, share, folds):
    return [
        (user, item, int(random.integers(1, 6)), int(random.integers(-1, folds)))
        for user in range(users)
        for item in range(items)
        if random.random() < share
    ]


@pytest.mark.parametrize("most_scores", [1 << 23, 120])
def test_rows_agree_with_a_plain_transcription(transformed, monkeypatch, most_scores):
    # With 120 scores at once there are batches of two users, with users without test ratings
    # between them.
    monkeypatch.setattr(evaluation, "_MOST_SCORES", most_scores)
    random = np.random.default_rng(0)
    ratings = drawn_ratings(random, 37, 60, 0.2, 3)
    ratings = [one for one in ratings if one[0] % 5 or one[3] == -1]
    data = transformed(ratings, 37, 60)
    scores = random.integers(10, 50, (3, 37, 60)) / 10
    models = {f"fold_{fold + 1}": model(scores[fold]) for fold in range(3)}
    rows = {(row["fold"], row["user"]): row for row in rows_of(models, data, threshold=3.0)}
    expected = 0
    for fold in range(3):
        popular = np.zeros(60)
        for _, item, _, held in ratings:
            popular[item] += held != fold
        for user in range(37):
            test = [one for one in ratings if one[0] == user and one[3] == fold]
            if not test:
                continue
            expected += 1
            row = rows[str(fold + 1), f"u{user}"]
            errors = [scores[fold, user, item] - rating for _, item, rating, _ in test]
            assert row["rmse"] == (
                pytest.approx(math.sqrt(sum(error**2 for error in errors) / len(test)), rel=1e-6),
                len(test),
            )
            assert row["mae"][0] == pytest.approx(sum(map(abs, errors)) / len(test), rel=1e-6)
            seen = {item for who, item, _, held in ratings if who == user and held != fold}
            assert row["training_ratings"] == len(seen)
            relevant = {item for _, item, rating, _ in test if rating >= 3}
            for name, of_items in (("", scores[fold, user]), ("_popularity", popular)):
                found = [row[f"{metric}_at_10{name}"] for metric in ("precision", "recall", "ndcg")]
                if relevant:
                    assert found == pytest.approx(plain_ranking(of_items, seen, relevant))
                else:
                    assert found == [None] * 3
            assert sum(row["errors"].values()) == len(test)
    assert len(rows) == expected > 60


def test_means_of_rows_are_over_all_test_ratings(transformed):
    random = np.random.default_rng(1)
    ratings = drawn_ratings(random, 20, 30, 0.5, 2)
    scores = random.uniform(1, 5, (20, 30))
    models = {"fold_1": model(scores), "fold_2": model(scores)}
    means = SlicedMeans(metrics.METRICS, ["fold"])
    for row in rows_of(models, transformed(ratings, 20, 30)):
        means.add(row)
    errors = {
        fold: np.array([scores[one[0], one[1]] - one[2] for one in ratings if one[3] == fold])
        for fold in (0, 1)
    }
    for found, fold in zip(means.slices(), (0, 1), strict=True):
        rmse = np.sqrt((errors[fold] ** 2).mean())
        assert found["metrics"]["rmse"] == pytest.approx(rmse, rel=1e-6)
        assert found["metrics"]["mae"] == pytest.approx(np.abs(errors[fold]).mean(), rel=1e-6)
        mean = np.mean([one[2] for one in ratings if one[3] != fold])
        truth = np.array([one[2] for one in ratings if one[3] == fold])
        expected = np.sqrt(((truth - mean) ** 2).mean())
        assert found["metrics"]["rmse_global_mean"] == pytest.approx(expected, rel=1e-6)


def test_items_are_ordered_as_the_model_says(transformed):
    data = transformed(RATINGS, 3, 5)
    models = {name: model(SCORES, lambda ratings: -ratings) for name in ("fold_1", "fold_2")}
    first, *_ = rows_of(models, data)
    # From the least to the largest: 3, 4, 0, 1; relevant are 0 and 3. The errors are as they were.
    gain = 1 + 1 / math.log2(4)
    assert first["ndcg_at_10"] == pytest.approx(gain / (1 + 1 / math.log2(3)))
    assert first["mae"] == (pytest.approx(6.5 / 3), 3)


def test_lists_are_not_longer_than_there_are_items(transformed):
    data = transformed([(0, 0, 5, 0), (0, 1, 1, -1), (1, 1, 4, -1)], 2, 3)
    (row,) = rows_of({"fold_1": model([[1.0, 5.0, 2.0], [0, 0, 0]])}, data)
    # 2 is before 0, 1 is seen.
    assert row["ndcg_at_10"] == pytest.approx(1 / math.log2(3))
    assert row["precision_at_10"] == pytest.approx(0.1)


def test_predictions_that_are_not_numbers_are_no_good(transformed):
    data = transformed([(0, 0, 5, 0), (0, 1, 1, -1), (1, 1, 4, -1)], 2, 20)
    (row,) = rows_of({"fold_1": model(np.full((2, 20), np.nan))}, data)
    assert math.isnan(row["rmse"][0])
    assert row["errors"] == {}
    scores = np.arange(40.0).reshape(2, 20)
    scores[0, 0] = np.nan
    (row,) = rows_of({"fold_1": model(scores)}, data)
    assert row["ndcg_at_10"] == 0.0


def test_folds_need_models_and_training_ratings(transformed):
    data = transformed(RATINGS, 3, 5)
    with pytest.raises(ValueError, match=r"2 folds must have a model.*fold_1, without fold_2"):
        rows_of({"fold_1": model(SCORES)}, data)
    data = transformed([(0, 0, 5, -1)], 3, 5)
    with pytest.raises(ValueError, match="There must be test ratings"):
        rows_of({"fold_1": model(SCORES)}, data)
    data = transformed([(0, 0, 5, 0)], 3, 5)
    with pytest.raises(BadDataError, match="fold 1 with all 1 ratings"):
        rows_of({"fold_1": model(SCORES)}, data)


def test_figures_show_errors_and_metrics_by_activity(transformed):
    random = np.random.default_rng(3)
    ratings = drawn_ratings(random, 30, 40, 0.4, 2)
    models = {f"fold_{fold}": model(random.uniform(1, 5, (30, 40))) for fold in (1, 2)}
    rows = rows_of(models, transformed(ratings, 30, 40))
    drawn = figures.evaluation_figures(json.loads(json.dumps(rows)))
    assert drawn == figures.evaluation_figures(rows)
    assert [title.split()[0] for title in drawn] == ["Predicted", "RMSE", "NDCG@10"]
    namespace = "{http://www.w3.org/2000/svg}"
    for svg in drawn.values():
        bars = list(ElementTree.fromstring(svg).iter(f"{namespace}rect"))
        assert bars
        for bar in bars:
            assert 0 <= float(bar.get("height")) <= 180
            assert float(bar.get("width")) > 0
    groups = figures.by_activity(rows)
    assert set(groups) <= {"1–4", "5–9", "10–19", "20–49"}
    assert sum(map(len, groups.values())) == len(rows)
    total = figures.mean(rows, "rmse")
    means = SlicedMeans([Metric("rmse", "root mean square", average="root_mean_square")])
    for row in rows:
        means.add(row)
    assert total == pytest.approx(means.overall()["rmse"])
    counts = figures.error_counts(rows)
    assert list(counts) == sorted(counts)
    assert sum(counts.values()) == sum(one[3] >= 0 for one in ratings)


def test_figures_of_nothing_are_none():
    assert figures.evaluation_figures([]) == {}
    groups = figures.by_activity([{"training_ratings": 0}, {"training_ratings": 1000}])
    assert list(groups) == ["0", "1000+"]
    assert figures.mean([{"rmse": [None, 3]}, {"rmse": None}], "rmse") is None

"""The exported signatures of a recommender: known, unknown and strange users and items."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from methodical.components.base.artifacts import Examples, Model, SavedModel, TransformGraph
from methodical.components.base.component import ExecutionContext
from methodical.components.beam import shards
from methodical.components.data.ratings.options import TransformOptions
from methodical.components.data.ratings.ratings import RatingExamples
from methodical.components.data.ratings.transforms import ToIndices
from methodical.components.exporter import prediction_log
from methodical.components.exporter.component import Exporter
from methodical.components.infra_validator import validation_process
from methodical.components.io import example_proto
from methodical.pipeline.methods.factorization.ratings import serving

USERS, ITEMS, K = 50, 30, 5


class Additive(keras.Model):
    """Rates an item by its own value plus the user's; folds in by the mean of the ratings."""

    def __init__(self):
        super().__init__()
        random = np.random.default_rng(0)
        self.of_users = self.add_weight(shape=(USERS + 1,), name="of_users")
        self.of_items = self.add_weight(shape=(ITEMS + 1,), name="of_items")
        self.of_users.assign(np.append(random.uniform(-1, 1, USERS), 0))
        self.of_items.assign(np.append(random.permutation(ITEMS) / 10 + 1, 2.5))
        self.built = True

    def call(self, inputs):
        users = keras.ops.take(self.of_users, inputs["user"])
        return users + keras.ops.take(self.of_items, inputs["item"])

    def score_users(self, users):
        return keras.ops.take(self.of_users, users)[:, None] + self.of_items[None, :-1]

    def ranking(self, ratings):
        return ratings

    def score_histories(self, items, ratings, mask):
        mask = keras.ops.cast(mask, "float32")
        total = keras.ops.sum(mask * ratings, axis=1)
        mean = total / keras.ops.maximum(keras.ops.sum(mask, axis=1), 1.0)
        return mean[:, None] + self.of_items[None, :-1]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Users u0 to u49 who have rated some of i0 to i29; u49 has rated all but i3."""
    random = np.random.default_rng(1)
    users = [f"u{number}" for number in range(USERS)]
    items = [f"i{number}" for number in range(ITEMS)]
    raw = []
    for number in random.permutation(USERS):
        rated = random.permutation(ITEMS)[: random.integers(2, 20)]
        if number == USERS - 1:
            rated = np.delete(np.arange(ITEMS), 3)
        raw.append(
            {
                "user": [users[number]],
                "items": [items[item] for item in rated],
                "ratings": random.integers(1, 6, len(rated)).astype(float).tolist(),
                "timestamps": [],
                "folds": [-1] * len(rated),
            }
        )
    assets = {"users": users, "items": items}
    to_indices = ToIndices(TransformOptions(), assets)
    folder = tmp_path_factory.mktemp("ratings")
    graph = TransformGraph(str(folder / "graph"))
    os.makedirs(graph.path("assets"))
    for name, lines in assets.items():
        with open(graph.asset_path(name), "w") as writer:
            writer.writelines(f"{line}\n" for line in lines)

    def written(name, given):
        made = Examples(str(folder / name), {"splits": {"train": len(given)}})
        encoded = [example_proto.encode(one) for one in given]
        shards.write_shard(made.uri, "train", 0, 1, encoded)
        return made

    transformed = written("transformed", [to_indices(one) for one in raw])
    return RatingExamples(transformed, graph, written("raw", raw))


def export(data, folder, recommendations=K):
    trained = Model(str(folder / "model"), {"fits": []})
    output = SavedModel(str(folder / "saved"))
    os.makedirs(output.uri)
    context = ExecutionContext(
        inputs={
            "examples": data.raw,
            "transformed_examples": data.transformed,
            "transform_graph": data.transform_graph,
            "model": trained,
        },
        outputs={"saved_model": output},
        parameters=Exporter.Parameters(),
        functions={
            "data": RatingExamples,
            "serve": lambda models, data, parameters: serving.serving_model(
                Additive(), data, recommendations
            ),
        },
        model_name="ratings",
    )
    Exporter.execute(context)
    return output


@pytest.fixture(scope="module")
def exported(data, tmp_path_factory):
    return export(data, tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(exported.path("Format-Serving"))


def asked(loaded, signature, **inputs):
    found = loaded.signatures[signature](
        **{
            name: tf.constant(value, tf.float32 if name == "ratings" else tf.string)
            for name, value in inputs.items()
        }
    )
    return {
        name: np.char.decode(value.numpy().astype(bytes))
        if value.dtype == tf.string
        else value.numpy()
        for name, value in found.items()
    }


def best(values, seen, length=K):
    """The unseen items by falling value, and their values."""
    order = [item for item in np.argsort(-values, kind="stable") if f"i{item}" not in seen]
    return [f"i{item}" for item in order[:length]], values[order[:length]]


def rated(data):
    found = data.read()
    by_user = {}
    for user, item, rating in zip(found.users, found.items, found.ratings, strict=True):
        by_user.setdefault(f"u{user}", {})[f"i{item}"] = float(rating)
    return by_user


def of_items():
    return Additive().of_items.numpy()[:-1]


def test_known_users_get_the_best_they_have_not_rated(data, loaded):
    of_users = Additive().of_users.numpy()
    names = [f"u{number}" for number in range(USERS - 1)]
    found = asked(loaded, "serving_default", user=names)
    assert found["known"].all()
    seen = rated(data)
    for row, name in enumerate(names):
        items, values = best(of_items() + of_users[row], seen[name])
        assert found["items"][row].tolist() == items
        np.testing.assert_allclose(found["ratings"][row], values, rtol=1e-6)


def test_a_user_who_has_rated_nearly_all_gets_what_is_left(loaded):
    found = asked(loaded, "serving_default", user=["u49"])
    assert found["items"].tolist() == [["i3", "", "", "", ""]]
    assert found["ratings"][0, 0] != 0
    assert found["ratings"][0, 1:].tolist() == [0.0] * 4


def test_unknown_users_get_what_is_best_by_itself(loaded):
    items, values = best(of_items(), ())
    found = asked(loaded, "serving_default", user=["u50", "", "u1"])
    assert found["known"].tolist() == [False, False, True]
    assert found["items"][0].tolist() == found["items"][1].tolist() == items
    np.testing.assert_allclose(found["ratings"][0], values, rtol=1e-6)
    empty = asked(loaded, "serving_history", items=[["", ""]], ratings=[[0.0, 0.0]])
    assert not empty["known"][0]
    assert empty["items"][0].tolist() == items
    none = asked(loaded, "serving_history", items=np.zeros((2, 0), str), ratings=np.zeros((2, 0)))
    assert none["items"].tolist() == [items] * 2
    strange = asked(loaded, "serving_history", items=[["i30", "?"]], ratings=[[5.0, 1.0]])
    assert not strange["known"][0]
    assert strange["items"][0].tolist() == items


def test_histories_are_folded_in(loaded):
    nan, infinite = float("nan"), float("inf")
    one, two, three, four, _ = best(of_items(), ())[0]
    cases = [
        # items, ratings, mean of what counts
        ([one, two, "", ""], [2, 4, 5, 5], 3.0),
        (["", one, "none", two], [1, 2, 5, 4], 3.0),
        # Of several ratings of an item the last counts, if it is one.
        ([one, one, one, ""], [5, 3, nan, 0], 3.0),
        ([one, two, three, four], [2, nan, infinite, 4], 3.0),
        # The nearest possible rating stands for others.
        ([one, two, "", ""], [-7, 100, 0, 0], 3.0),
    ]
    items, ratings, means = zip(*cases, strict=True)
    found = asked(loaded, "serving_history", items=items, ratings=ratings)
    assert found["known"].all()
    for row, mean in enumerate(means):
        names, values = best(of_items() + mean, items[row])
        assert found["items"][row].tolist() == names
        np.testing.assert_allclose(found["ratings"][row], values, rtol=1e-5)


def test_items_and_ratings_must_be_as_many(loaded):
    with pytest.raises(tf.errors.InvalidArgumentError, match="a rating for each of the items"):
        asked(loaded, "serving_history", items=[["i1", "i2"]], ratings=[[5.0]])


def test_pairs_are_rated(loaded):
    model = Additive()
    users, items = ["u3", "u3", "nobody", "nobody"], ["i7", "nothing", "i7", ""]
    found = asked(loaded, "serving_ratings", user=users, item=items)
    of_user, of_item = model.of_users.numpy()[3], model.of_items.numpy()[7]
    expected = [of_user + of_item, of_user + 2.5, of_item, 2.5]
    np.testing.assert_allclose(found["rating"], expected, rtol=1e-6)
    assert found["known"].tolist() == [True, False, False, False]


def test_examples_are_known_users_or_histories(data, loaded):
    of_users = Additive().of_users.numpy()
    # Without the example's items these would be recommended; the fourth has no rating.
    top = best(of_items(), rated(data)["u7"])[0]
    given = [
        {"user": ["u7"], "items": top[:2], "ratings": [1.0, 1.0]},
        {"user": ["stranger"], "items": [*top[:2], top[3]], "ratings": [2.0, 4.0]},
        {"items": [], "ratings": []},
        {},
    ]
    serialized = [example_proto.encode(one) for one in given]
    found = asked(loaded, "serving_examples", examples=serialized)
    assert found["known"].tolist() == [True, True, False, False]
    expected = [
        best(of_items() + of_users[7], {*top[:2], *rated(data)["u7"]}),
        best(of_items() + 3, (*top[:2], top[3])),
        best(of_items(), ()),
        best(of_items(), ()),
    ]
    for row, (items, values) in enumerate(expected):
        assert found["items"][row].tolist() == items
        np.testing.assert_allclose(found["ratings"][row], values, rtol=1e-6)
    alone = asked(loaded, "serving_examples", examples=serialized[:1])
    assert alone["items"].tolist() == found["items"][:1].tolist()


def test_warm_up_requests_have_the_trained_models_answers(exported, loaded):
    with np.load(exported.path("references.npz")) as stored:
        references = {name: stored[name] for name in stored.files}
    signatures = {"serving_default", "serving_examples", "serving_history"}
    for name in signatures:
        assert {f"{name}/items", f"{name}/ratings", f"{name}/known"} <= set(references)
        assert references[f"{name}/items"].shape[1:] == (K,)
    assert {False, True} == set(references["serving_default/known"].tolist())
    path = exported.path(
        "Format-Serving", prediction_log.WARM_UP_FOLDER, prediction_log.WARM_UP_FILE
    )
    counts = dict.fromkeys([*signatures, "serving_ratings"], 0)
    for name, inputs in prediction_log.read_requests(path):
        found = loaded.signatures[name](**{key: tf.constant(one) for key, one in inputs.items()})
        for key, value in found.items():
            reference = references[f"{name}/{key}"][counts[name] : counts[name] + 1]
            _, problem = validation_process.compare(value.numpy(), reference, 1e-5)
            assert problem is None, (name, key)
        counts[name] += 1
    assert min(counts.values()) >= 32


def test_requests_with_near_ties_are_not_made(data):
    class Near(Additive):
        """The best item of even users is ahead of the next by rounding only."""

        def score_users(self, users):
            ahead = keras.ops.cast(keras.ops.equal(users % 2, 0), "float32") * 1e-6
            return super().score_users(users) * 0 + keras.ops.concatenate(
                [ahead[:, None], keras.ops.zeros((1, ITEMS - 1)) + 0 * ahead[:, None]], axis=1
            )

    signature = serving.serving_model(Near(), data, ITEMS).signatures["serving_default"]
    names = [name for name in signature.requests["user"] if name.startswith("u")]
    seen = rated(data)
    assert len(names) > 20
    for name in names:
        assert int(name[1:]) % 2 or "i0" in seen[name]


def test_the_models_rank_orders_and_its_ratings_are_shown(data):
    class Reversed(Additive):
        def ranking(self, ratings):
            return -ratings

    model = Reversed()
    signature = serving.serving_model(model, data, ITEMS).signatures["serving_default"]
    found = signature.function(user=tf.constant(["u3"]))
    left = [item for item in found["items"][0].numpy().astype(str) if item]
    scores = dict(
        zip(
            (f"i{number}" for number in range(ITEMS)),
            keras.ops.convert_to_numpy(model.score_users(np.array([3])))[0],
            strict=True,
        )
    )
    assert sorted(left) == sorted(scores.keys() - rated(data)["u3"])
    assert left == sorted(left, key=scores.get)
    np.testing.assert_allclose(
        found["ratings"][0, : len(left)], [scores[item] for item in left], rtol=1e-6
    )
    row = list(signature.requests["user"]).index("u3")
    assert (
        signature.references["items"][row].tolist()
        == found["items"][0].numpy().astype(str).tolist()
    )
    np.testing.assert_allclose(signature.references["ratings"][row], found["ratings"][0], rtol=1e-6)


def test_more_recommendations_than_items_are_all_items(data, tmp_path):
    saved = export(data, tmp_path, recommendations=100)
    found = asked(
        tf.saved_model.load(saved.path("Format-Serving")), "serving_default", user=["nobody"]
    )
    assert found["items"].shape == (1, ITEMS)
    assert found["items"][0].tolist() == best(of_items(), (), ITEMS)[0]

"""RatingFactorization against a dense NumPy transcription, closed forms and MovieLens 100k."""

import io
import tarfile
import warnings

import keras
import numpy as np
import pytest
from keras import ops
from methodical.models.factorization import RatingFactorization
from methodical.models.factorization.ratings.rating_baselines import (
    global_mean,
    item_popularity,
    rating_biases,
)
from scipy.optimize import lsq_linear

# JAX has float32 alone unless told otherwise, and Keras' PyTorch backend falls back to it.
PRECISION = 1e-10 if keras.backend.backend() == "tensorflow" else 2e-5
WEIGHTS = ("mean", "user_biases", "item_biases", "user_factors", "item_factors")


def assert_close(actual, desired):
    actual = ops.convert_to_numpy(actual)
    np.testing.assert_allclose(actual, desired, rtol=PRECISION, atol=PRECISION)


def random_ratings(seed, num_users=8, num_items=9, share=0.5):
    """Ratings of a share of all pairs; the last user and the last item have none.

    Equal sizes in most tests: XLA compiles once for each.
    """
    generator = np.random.default_rng(seed)
    count = int(share * num_users * num_items)
    pairs = generator.choice((num_users - 1) * (num_items - 1), count, replace=False)
    users, items = np.divmod(pairs, num_items - 1)
    return {"user": users, "item": items}, generator.integers(1, 6, count).astype("float64")


def built(*args, dtype="float64", **options):
    model = RatingFactorization(*args, dtype=dtype, **{"seed": 5, **options})
    model.build()
    model.compile()
    return model


def arrays(model):
    return {name: ops.convert_to_numpy(getattr(model, name)) for name in WEIGHTS}


def dense_sweep(state, values, weights, penalty, exponent, bias_penalty):
    """One member's sweep, block by block, on a dense matrix with weight zero where unobserved."""
    mean, b, c, w, h = (state[name] for name in WEIGHTS)
    counts, item_counts = weights.sum(1), weights.sum(0)
    own, other = penalty * counts**exponent, penalty * item_counts**exponent

    def divide(top, bottom, count):
        return np.where(count > 0, top / np.where(count > 0, bottom, 1), 0.0)

    b = divide((weights * (values - mean - c - w @ h.T)).sum(1), counts + bias_penalty, counts)
    rest = values - mean - b[:, None] - w @ h.T
    c = divide((weights * rest).sum(0), item_counts + bias_penalty, item_counts)
    for k in range(w.shape[1]):
        others = np.delete(np.arange(w.shape[1]), k)
        rest = values - mean - b[:, None] - c - w[:, others] @ h[:, others].T
        top, bottom = (weights * rest) @ h[:, k], weights @ h[:, k] ** 2 + own
        w[:, k] = np.maximum(divide(top, bottom, counts), 0)
        top, bottom = (weights * rest).T @ w[:, k], weights.T @ w[:, k] ** 2 + other
        h[:, k] = np.maximum(divide(top, bottom, item_counts), 0)
    objective = (weights * (values - mean - b[:, None] - c - w @ h.T) ** 2).sum()
    objective += (own @ w**2).sum() + (other @ h**2).sum()
    objective += bias_penalty * ((b**2).sum() + (c**2).sum())
    return dict(zip(WEIGHTS, (mean, b, c, w, h), strict=True)), objective


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_updates_agree_with_a_dense_transcription(weighted, exponent):
    inputs, ratings = random_ratings(1)
    # Keras turns weights into float32: these are exact in it.
    sample_weight = np.random.default_rng(2).integers(4, 17, len(ratings)) / 8 if weighted else None
    model = built(8, 9, 3, members=2, factor_penalty=0.1, penalty_exponent=exponent)
    before = arrays(model)
    history = model.fit(inputs, ratings, sample_weight=sample_weight, epochs=3, verbose=0)

    values, weights = np.zeros((8, 9)), np.zeros((8, 9))
    values[inputs["user"], inputs["item"]] = ratings
    weights[inputs["user"], inputs["item"]] = 1 if sample_weight is None else sample_weight
    mean = (weights * values).sum() / weights.sum()
    losses = np.zeros(3)
    for member in range(2):
        state = {name: value[:, member].copy() for name, value in before.items() if value.ndim}
        state["mean"] = mean
        for step in range(3):
            state, objective = dense_sweep(state, values, weights, 0.4, exponent, 3.0)
            losses[step] += objective / weights.sum() / 2
        for name in WEIGHTS[1:]:
            ours = arrays(model)[name][:, member]
            assert_close(ours, state[name])
    assert_close(arrays(model)["mean"], mean)
    # Keras keeps its mean of losses in float32.
    np.testing.assert_allclose(history.history["loss"], losses, rtol=1e-5)
    assert (arrays(model)["user_factors"] >= 0).all()
    assert (arrays(model)["item_factors"] >= 0).all()
    assert (arrays(model)["user_biases"] < 0).any()
    for name in ("user_biases", "item_biases", "user_factors", "item_factors"):
        assert not arrays(model)[name][-1].any()


def objective_of(model, inputs, ratings):
    """The objective per rating, the members' mean, from the weights alone, in float64."""
    mean, b, c, w, h = (arrays(model)[name] for name in WEIGHTS)
    users, items = inputs["user"], inputs["item"]
    products = np.einsum("nmk,nmk->nm", w[users], h[items])
    total = ((ratings[:, None] - mean - b[users] - c[items] - products) ** 2).sum(0)
    low, high = model.rating_range
    for ids, biases, factors in ((users, b, w), (items, c, h)):
        counts = np.bincount(ids, minlength=len(biases)) ** model.penalty_exponent
        total += model.factor_penalty * (high - low) * np.einsum("u,umk->m", counts, factors**2)
        total += model.bias_penalty * (biases**2).sum(0)
    return total.mean() / len(ratings)


@pytest.mark.parametrize(("seed", "rank", "share"), [(0, 3, 0.5), (1, 5, 0.25)])
def test_the_objective_never_rises(seed, rank, share):
    inputs, ratings = random_ratings(seed, share=share)
    model = built(8, 9, rank, members=2, factor_penalty=0.02, seed=seed)
    values = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            values.append(objective_of(model, inputs, ratings))

    model.fit(inputs, ratings, epochs=40, verbose=0, callbacks=[Watch()])
    assert (np.diff(values) <= PRECISION / 10).all()
    assert values[-1] < 0.7 * values[0]


def test_several_sweeps_a_step_and_going_on_from_weights_are_the_same_as_single_sweeps():
    inputs, ratings = random_ratings(3)
    single, several, resumed = (
        built(8, 9, 3, members=2, sweeps_per_step=count) for count in (1, 3, 1)
    )
    single.fit(inputs, ratings, epochs=6, verbose=0)
    several.fit(inputs, ratings, epochs=2, verbose=0)
    resumed.fit(inputs, ratings, epochs=4, verbose=0)
    other = built(8, 9, 3, members=2, seed=77)
    other.set_weights(resumed.get_weights())
    other.fit(inputs, ratings, epochs=2, verbose=0)
    for one, two, three in zip(*(m.get_weights() for m in (single, several, other)), strict=True):
        assert_close(two, one)
        assert_close(three, one)


def test_seeds_and_members_differ_in_the_start_alone():
    inputs, ratings = random_ratings(4)
    models = [built(8, 9, 3, members=2, seed=seed) for seed in (1, 1, 2)]
    for model in models:
        model.fit(inputs, ratings, epochs=2, verbose=0)
    first, again, other = (arrays(model)["user_factors"] for model in models)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01
    assert np.abs(first[:, 0] - first[:, 1]).max() > 0.01


def test_recovers_noise_free_ratings_of_low_rank():
    generator = np.random.default_rng(0)
    users, items = np.divmod(np.arange(40 * 30), 30)
    w, h = generator.gamma(1.0, 0.7, (40, 2)), generator.gamma(1.0, 0.7, (30, 2))
    truth = 2 + generator.normal(0, 0.3, 40)[:, None] + generator.normal(0, 0.3, 30) + w @ h.T
    test = generator.random(40 * 30) < 0.3
    pairs = {"user": users[~test], "item": items[~test]}
    limits = (truth.min(), truth.max())
    model = built(
        40,
        30,
        2,
        members=1,
        factor_penalty=1e-5,
        bias_penalty=1e-5,
        rating_range=limits,
        sweeps_per_step=500,
    )
    model.fit(pairs, truth.reshape(-1)[~test], epochs=2, verbose=0)
    errors = (ops.convert_to_numpy(model.score_users(np.arange(40))) - truth).reshape(-1)
    assert np.sqrt(np.mean(errors[test] ** 2)) < 0.02
    assert truth.std() > 0.8


def test_evaluation_is_the_mean_squared_error_and_changes_nothing():
    inputs, ratings = random_ratings(6)
    model = built(8, 9, 3, members=2)
    model.fit(inputs, ratings, epochs=2, verbose=0)
    held = {"user": np.array([0, 3, 7, 2]), "item": np.array([8, 1, 4, 4])}
    truth, weights = np.array([1.0, 5.0, 3.0, 2.0]), np.array([1.0, 2.0, 0.0, 1.0])
    before = model.get_weights()
    errors = (ops.convert_to_numpy(model(held)) - truth) ** 2
    assert model.evaluate(held, truth, verbose=0) == pytest.approx(errors.mean(), rel=1e-5)
    value = model.evaluate(held, truth, sample_weight=weights, verbose=0)
    assert value == pytest.approx((weights * errors).sum() / 4, rel=1e-5)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    history = model.fit(inputs, ratings, validation_data=(held, truth), verbose=0)
    after = (ops.convert_to_numpy(model(held)) - truth) ** 2
    assert history.history["val_loss"][0] == pytest.approx(after.mean(), rel=1e-5)


def test_scores_are_the_predictions_of_all_items_within_the_range():
    inputs, ratings = random_ratings(7)
    model = built(8, 9, 3, members=2, rating_range=(2.0, 4.0))
    model.fit(inputs, ratings, epochs=5, verbose=0)
    mean, b, c, w, h = (arrays(model)[name] for name in WEIGHTS)
    expected = np.clip(
        mean + np.mean(b[:, None] + c[None] + np.einsum("umk,imk->uim", w, h), -1), 2, 4
    )
    assert expected.min() == 2
    assert expected.max() == 4
    scores = ops.convert_to_numpy(model.score_users(np.arange(8)))
    assert_close(scores, expected)
    users, items = np.divmod(np.arange(72), 9)
    pairs = ops.convert_to_numpy(model({"user": users, "item": items}))
    assert_close(pairs.reshape(8, 9), expected)


def test_items_rank_by_rating_and_popularity():
    inputs, ratings = random_ratings(4)
    outside = {name: np.append(ids, [99, -1]) for name, ids in inputs.items()}
    model = built(8, 9, 2, members=2, popularity_weight=0.5)
    model.fit(outside, np.append(ratings, [5.0, 5.0]), verbose=0)
    scores = ops.convert_to_numpy(model.score_users(np.arange(8)))
    counts = np.bincount(inputs["item"], minlength=9)
    assert_close(model.ranking(ops.convert_to_tensor(scores)), scores + 0.5 * np.log(1 + counts))
    plain = built(8, 9, 2, popularity_weight=0.0)
    assert_close(plain.ranking(ops.convert_to_tensor(scores)), scores)


def test_unknown_users_and_items_get_the_other_side_s_bias():
    inputs, ratings = random_ratings(8)
    model = built(8, 9, 3, members=2)
    model.fit(inputs, ratings, epochs=3, verbose=0)
    mean, b, c, _, _ = (arrays(model)[name] for name in WEIGHTS)
    # 7 and 8 have no ratings; 8 and -1, 9 and -1 are outside the range.
    for user in (7, 8, -1):
        scores = ops.convert_to_numpy(model.score_users(np.array([user])))[0]
        assert_close(scores, mean + c.mean(-1))
    pairs = {"user": np.array([2, 2, 2, 8]), "item": np.array([8, 9, -1, 9])}
    expected = mean + np.array([*[b[2].mean()] * 3, 0.0])
    assert_close(model(pairs), expected)


def test_training_leaves_out_indices_outside_the_range():
    inputs, ratings = random_ratings(9)
    more = {
        "user": np.concatenate([[8, 1], inputs["user"]]),
        "item": np.concatenate([[1, -1], inputs["item"]]),
    }
    one, other = built(8, 9, 3, members=2), built(8, 9, 3, members=2)
    one.fit(inputs, ratings, epochs=2, verbose=0)
    other.fit(more, np.concatenate([[1.0, 5.0], ratings]), epochs=2, verbose=0)
    for first, second in zip(one.get_weights(), other.get_weights(), strict=True):
        assert_close(first, second)


def test_folding_in_solves_the_users_problem():
    inputs, ratings = random_ratings(10)
    model = built(8, 9, 3, members=2, factor_penalty=0.05, fold_in_sweeps=100)
    model.fit(inputs, ratings, epochs=5, verbose=0)
    mean, _, c, _, h = (arrays(model)[name] for name in WEIGHTS)
    items, given = np.array([[0, 3, 5, 9, 2]]), np.array([[5.0, 1.0, 4.0, 2.0, np.nan]])
    mask = np.array([[True, True, True, True, False]])
    expected = np.full(9, mean)
    for member in range(2):
        # Rows of the ridge term; the unknown item 9 and the padding do not count.
        ridge = np.diag(np.sqrt([3.0, *[0.05 * 4 * 3**0.5] * 3]))
        design = np.column_stack([np.ones(3), h[[0, 3, 5], member]])
        target = given[0, :3] - mean - c[[0, 3, 5], member]
        found = lsq_linear(
            np.vstack([design, ridge]),
            np.concatenate([target, np.zeros(4)]),
            ([-np.inf, 0, 0, 0], np.inf),
            tol=1e-14,
        ).x
        expected += (c[:, member] + found[0] + h[:, member] @ found[1:]) / 2
    scores = ops.convert_to_numpy(model.score_histories(items, given, mask))[0]
    np.testing.assert_allclose(scores, np.clip(expected, 1, 5), atol=1e-6)


def histories(inputs, ratings, users, length, padding):
    items, given = np.full((len(users), length), padding), np.zeros((len(users), length))
    mask = np.zeros((len(users), length), bool)
    for row, user in enumerate(users):
        own = inputs["user"] == user
        count = own.sum()
        items[row, :count], given[row, :count] = inputs["item"][own], ratings[own]
        mask[row, :count] = True
    return items, given, mask


def test_folding_in_a_trained_user_gives_the_users_own_scores():
    inputs, ratings = random_ratings(11, 30, 20)
    model = built(30, 20, 3, members=2, factor_penalty=0.05, sweeps_per_step=2000)
    model.fit(inputs, ratings, verbose=0)
    users = np.arange(30)
    own = ops.convert_to_numpy(model.score_users(users))
    model.fold_in_sweeps = 60
    folded = model.score_histories(*histories(inputs, ratings, users, 20, 20))
    np.testing.assert_allclose(ops.convert_to_numpy(folded), own, atol=1e-4)
    assert own.std(0).mean() > 0.2


def test_an_empty_history_gives_the_items_baseline_and_padding_does_not_matter():
    inputs, ratings = random_ratings(12)
    model = built(8, 9, 3, members=2, dtype="float32")
    model.fit(inputs, ratings, epochs=3, verbose=0)
    mean, _, c, _, _ = (arrays(model)[name] for name in WEIGHTS)
    none = model.score_histories(np.zeros((2, 0), int), np.zeros((2, 0)), np.zeros((2, 0), bool))
    np.testing.assert_allclose(ops.convert_to_numpy(none), [mean + c.mean(-1)] * 2, rtol=1e-6)
    batch = histories(inputs, ratings, [7, 1, 2], 12, 9)
    together = ops.convert_to_numpy(model.score_histories(*batch))
    np.testing.assert_allclose(together[0], mean + c.mean(-1), rtol=1e-6)
    shorter = histories(inputs, ratings, [1], int(batch[2][1].sum()), 9)
    alone = ops.convert_to_numpy(model.score_histories(*shorter))
    np.testing.assert_allclose(alone[0], together[1], atol=1e-5)
    empty = model.score_histories(*(array[:0] for array in batch))
    assert tuple(empty.shape) == (0, 9)


def test_the_scale_of_the_ratings_does_not_matter():
    inputs, ratings = random_ratings(13)
    stars = built(8, 9, 3, members=2)
    points = built(8, 9, 3, members=2, rating_range=(10.0, 50.0))
    stars.fit(inputs, ratings, epochs=4, verbose=0)
    points.fit(inputs, 10 * ratings, epochs=4, verbose=0)
    of_stars, of_points = (
        ops.convert_to_numpy(m.score_users(np.arange(8))) for m in (stars, points)
    )
    assert_close(of_points, 10 * of_stars)


def test_a_saved_model_is_the_same_and_trains_on(tmp_path):
    inputs, ratings = random_ratings(14)
    model = built(8, 9, 3, members=2, dtype="float32", penalty_exponent=0.4)
    model.fit(inputs, ratings, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        one.fit(inputs, ratings, epochs=2, verbose=0)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def test_fit_warns_of_nothing_and_compiled_steps_agree():
    inputs, ratings = random_ratings(15)
    found = []
    for jit in (False, True) if keras.backend.backend() != "torch" else (False,):
        model = built(8, 9, 3, members=2, dtype="float32")
        model.compile(jit_compile=jit)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            model.fit(inputs, ratings, epochs=3, verbose=0)
        found.append(model.get_weights())
    for first, second in zip(found[0], found[-1], strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rank": 0}, "rank must be an integer of at least 1. Received: 0"),
        ({"members": 1.5}, "members must be an integer of at least 1. Received: 1.5"),
        ({"factor_penalty": -1}, "factor_penalty must be finite and not negative. Received: -1"),
        ({"bias_penalty": np.inf}, "bias_penalty must be finite and not negative. Received: inf"),
        ({"rating_range": (5, 5)}, "the lowest and the highest rating. Received: \\(5, 5\\)"),
    ],
)
def test_says_what_is_wrong_with_an_argument(options, words):
    with pytest.raises(ValueError, match=words):
        RatingFactorization(3, 3, **options)


def test_says_that_it_has_its_own_loss_and_needs_ratings():
    inputs, ratings = random_ratings(16)
    model = RatingFactorization(8, 9, 2)
    model.compile(loss="mse")
    with pytest.raises(ValueError, match=r"has its own loss.*Received: loss='mse'"):
        model.fit(inputs, ratings, verbose=0)
    model = built(8, 9, 2)
    with pytest.raises(ValueError, match=r"needs ratings.*Received: y=None"):
        model.fit(inputs, verbose=0)


def test_bias_baseline_solves_the_normal_equations():
    inputs, ratings = random_ratings(17, 6, 7)
    users, items = inputs["user"], inputs["item"]
    of_users, of_items = rating_biases(users, items, ratings, 6, 7, 2.0, 5.0)
    design = np.concatenate([np.eye(6)[users], np.eye(7)[items]], axis=1)
    matrix = design.T @ design + np.diag([2.0] * 6 + [5.0] * 7)
    expected = np.linalg.solve(matrix, design.T @ (ratings - ratings.mean()))
    np.testing.assert_allclose(np.concatenate([of_users, of_items]), expected, atol=1e-8)
    assert global_mean(ratings) == pytest.approx(ratings.mean())
    np.testing.assert_array_equal(item_popularity(items, 7), design[:, 6:].sum(0))
    assert np.isnan(global_mean([]))
    unpenalized = rating_biases(users, items, ratings, 6, 7, 0.0, 0.0)
    assert unpenalized[0][-1] == unpenalized[1][-1] == 0
    assert np.isfinite(np.concatenate(unpenalized)).all()


@pytest.mark.data
def test_movielens_100k_first_fold(real_data):
    with tarfile.open(real_data / "ml-100k" / "ml-100k.tar.xz") as archive:
        train, test = (
            np.loadtxt(io.TextIOWrapper(archive.extractfile(f"ml-100k/u1.{part}")), dtype=int)
            for part in ("base", "test")
        )
    model = RatingFactorization(943, 1682, members=4, sweeps_per_step=4, seed=0)
    model.compile()
    pairs = {"user": train[:, 0] - 1, "item": train[:, 1] - 1}
    model.fit(pairs, train[:, 2].astype("float32"), epochs=2, verbose=0)
    users, items, truth = test[:, 0] - 1, test[:, 1] - 1, test[:, 2]
    errors = ops.convert_to_numpy(model({"user": users, "item": items})) - truth
    of_users, of_items = rating_biases(*pairs.values(), train[:, 2], 943, 1682)
    baseline = np.clip(train[:, 2].mean() + of_users[users] + of_items[items], 1, 5) - truth
    error, of_biases = (np.sqrt(np.mean(values**2)) for values in (errors, baseline))
    assert 0.95 < of_biases < 0.97
    assert error < 0.925

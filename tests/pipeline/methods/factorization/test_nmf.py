"""The entry `nmf`: which ratings each model sees, and what is said of the training."""

import types

import numpy as np
from methodical.components.data.ratings.ratings import Ratings
from methodical.pipeline.methods.factorization.ratings import figures, training
from methodical.pipeline.methods.factorization.ratings.options import TrainerOptions

RATINGS = Ratings(
    users=np.array([0, 0, 1, 1, 2, 2], np.int32),
    items=np.arange(6, dtype=np.int32),
    ratings=np.array([1, 2, 3, 4, 5, 4], np.float32),
    folds=np.array([0, 1, -1, 1, 0, 1], np.int32),
    user_ids=list("abc"),
    item_ids=list("uvwxyz"),
)
DATA = types.SimpleNamespace(read=lambda: RATINGS)


def test_no_model_sees_the_test_ratings_of_its_fold():
    fits = training.fits(TrainerOptions(epochs=2, rank=2, members=1), DATA)
    seen = {}
    for fit in fits:
        ((inputs, values),) = fit.train().as_numpy_iterator()
        known = inputs["user"] < 3
        seen[fit.name] = inputs["item"][known].tolist()
        np.testing.assert_array_equal(values[known], RATINGS.ratings[seen[fit.name]])
        assert len(values) == 6
        # Nothing but the training ratings chooses an epoch.
        assert (fit.validation, fit.monitor, fit.epochs) == (None, "loss", 2)
    assert seen == {"fold_1": [1, 2, 3, 5], "fold_2": [0, 2, 4], "served": [0, 1, 2, 3, 4, 5]}


def test_models_take_the_parameters_and_the_range_of_the_data():
    parameters = TrainerOptions(
        rank=3,
        members=2,
        factor_penalty=0.5,
        penalty_exponent=1.0,
        bias_penalty=7.0,
        sweeps_per_epoch=4,
        popularity_weight=0.25,
    )
    model = training.fits(parameters, DATA)[0].build()
    config = model.get_config()
    expected = {
        "num_users": 3,
        "num_items": 6,
        "rank": 3,
        "members": 2,
        "factor_penalty": 0.5,
        "penalty_exponent": 1.0,
        "bias_penalty": 7.0,
        "sweeps_per_step": 4,
        "popularity_weight": 0.25,
        "rating_range": [1.0, 5.0],
        "name": "fold_1",
    }
    assert {name: config[name] for name in expected} == expected


def test_the_table_says_where_an_objective_rose():
    logs = {"fold_1": [{"loss": 3.0}, {"loss": 2.0}, {"loss": 2.5}], "served": [{"loss": 1.0}]}
    (table,) = figures.training_summary(TrainerOptions(), logs).tables
    assert table.rows == [["fold_1", 3.0, 2.5, 3, 1], ["served", 1.0, 1.0, 1, 0]]

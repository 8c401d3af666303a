"""Names of what an evaluation measures, each with its meaning."""

from __future__ import annotations

RANKED = 10
"""Length of the lists of recommendations that are judged."""

METRICS = {
    "rmse": "root mean square of predicted minus true test rating, in stars",
    "mae": "mean absolute difference of predicted and true test rating, in stars",
    "precision_at_10": "share of relevant items among the 10 best of a user",
    "recall_at_10": "share of a user's relevant items that are among the 10 best",
    "ndcg_at_10": "normalized discounted cumulative gain of the 10 best, 1 at most",
    "rmse_bias": "rmse of global mean plus biases of user and item",
    "mae_bias": "mae of global mean plus biases of user and item",
    "rmse_global_mean": "rmse of the mean of the training ratings",
    "mae_global_mean": "mae of the mean of the training ratings",
    "precision_at_10_popularity": "precision_at_10 of the items with most training ratings",
    "recall_at_10_popularity": "recall_at_10 of the items with most training ratings",
    "ndcg_at_10_popularity": "ndcg_at_10 of the items with most training ratings",
}
"""A row of `evaluation.rows` has all of these."""

ROOT_MEAN_SQUARE = ("rmse", "rmse_bias", "rmse_global_mean")
"""Those of `METRICS` that are averaged as root mean squares."""


def fold_name(fold: int) -> str:
    """Returns the name of the model that is trained without the test ratings of a fold from 0."""
    return f"fold_{fold + 1}"


SERVED = "served"
"""Name of the model that is trained on all ratings."""

"""What is measured of models of ratings."""

from __future__ import annotations

from .....components.evaluator.metric import Metric

RANKED = 10
"""Length of the lists of recommendations that are judged."""


def _error(name: str, meaning: str, squared: bool = False) -> Metric:
    return Metric(
        name,
        meaning,
        higher_is_better=False,
        average="root_mean_square" if squared else "mean",
    )


METRICS = (
    _error("rmse", "root mean square of predicted minus true test rating, in stars", squared=True),
    _error("mae", "mean absolute difference of predicted and true test rating, in stars"),
    Metric("precision_at_10", "share of relevant items among the 10 best of a user"),
    Metric("recall_at_10", "share of a user's relevant items that are among the 10 best"),
    Metric("ndcg_at_10", "normalized discounted cumulative gain of the 10 best, 1 at most"),
    _error("rmse_bias", "rmse of global mean plus biases of user and item", squared=True),
    _error("mae_bias", "mae of global mean plus biases of user and item"),
    _error("rmse_global_mean", "rmse of the mean of the training ratings", squared=True),
    _error("mae_global_mean", "mae of the mean of the training ratings"),
    *(
        Metric(f"{name}_popularity", f"{name} of the items with most training ratings")
        for name in ("precision_at_10", "recall_at_10", "ndcg_at_10")
    ),
)

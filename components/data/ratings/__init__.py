"""Ratings, who gave which item how many stars: simulator, readers, Beam transforms.

Dimensions: U users, I items, R ratings, B batch, L ratings of a history, K recommended items.

One example is one user. A raw example has `user`, the user's id; `items`, ids; `ratings`, numbers;
`timestamps`, seconds, empty if there are none; and `folds`, the fold in which each rating is a test
rating, -1 for never. All examples are in the split `train`: folds take the place of splits.
"""

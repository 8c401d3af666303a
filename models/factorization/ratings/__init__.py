"""A model of ratings, its updates, and the baselines of ratings."""

"""Non-negative matrix factorization: recommendations, and images as sums of parts."""

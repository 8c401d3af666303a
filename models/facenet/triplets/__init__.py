"""The triplet loss, the triplets of a batch and of a whole set, and their training."""

"""The names of what a run trains."""

KINDS = ("nmf", "pca", "vq")
"""The factorization, principal components, vector quantization."""

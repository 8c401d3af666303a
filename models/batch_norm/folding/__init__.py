"""Folding of batch normalizations into the linear layers beside them."""

"""Factorization of matrices that do not fit in memory, one Beam pass an iteration."""

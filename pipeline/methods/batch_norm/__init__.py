"""Batch normalization: the experiments of Ioffe & Szegedy 2015."""

"""Labelled images: readers, Beam transforms and the prepared images."""

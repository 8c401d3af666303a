"""Labelled images: readers, Beam transforms, parsing and serving."""

"""Trainer: runs the fits of a method."""

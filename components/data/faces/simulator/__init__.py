"""Drawn faces of people who do not exist."""

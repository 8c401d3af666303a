"""Verification, identification, clustering and the comparison of tracks."""

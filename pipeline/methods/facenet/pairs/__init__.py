"""Verification pairs: drawn, read with their images, and the threshold chosen on them."""

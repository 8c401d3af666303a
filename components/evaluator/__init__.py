"""Evaluator: measures models by slice and blesses them."""

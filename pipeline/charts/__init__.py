"""Inline SVG charts for reports."""

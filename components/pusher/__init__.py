"""Pusher: publishes a blessed model as a numbered version."""

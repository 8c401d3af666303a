"""Images as sums of parts: the layer, its baselines, and the model around them."""

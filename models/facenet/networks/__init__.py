"""The networks of the paper, a small one, and the layers they are made of."""

"""Fisher vectors of dense descriptors, and a network of them."""

"""The updates of a factorization, their starts, losses, and the loop that runs them."""

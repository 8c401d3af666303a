"""Large margin nearest neighbors, and the projections they are learned on."""

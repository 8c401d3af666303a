"""Large margin nearest neighbours, and the projections they are learned on."""

"""How a data stage runs on a Beam runner: options, progress, outcomes, shards, dead letters."""

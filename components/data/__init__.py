"""One package for each kind of data: simulator, readers, Beam transforms, parsing."""

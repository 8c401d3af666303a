"""bAbI question answering: simulator, reader, Beam transforms and parsing."""

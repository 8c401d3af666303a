"""bAbI question answering: simulator, reader, Beam transforms and the prepared stories."""

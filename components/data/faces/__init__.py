"""Faces with identities: simulator, readers, Beam transforms, parsing, evaluation and serving."""

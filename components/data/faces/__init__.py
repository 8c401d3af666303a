"""Faces with identities: simulator, readers, Beam transforms and the prepared faces."""

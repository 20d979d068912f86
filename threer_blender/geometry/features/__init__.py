"""[R] Features of photos, their matches, and retrieval of alike photos."""

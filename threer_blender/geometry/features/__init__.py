"""[R] Features of photos, their matches, and retrieval of similar photos."""

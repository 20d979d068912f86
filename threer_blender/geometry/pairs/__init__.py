"""[R] Pairs of photos: their choice, and matches from their pointmaps and descriptors."""

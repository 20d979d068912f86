"""[R] Pairs of photos: their choice, matches from their pointmaps and descriptors, and the comparison of pictures."""

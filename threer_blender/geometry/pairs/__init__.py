"""[R] Pairs of photos: which to compare, and what their pointmaps and descriptors have in common."""

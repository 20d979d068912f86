"""[R] Bundle adjustment: tracks, reprojection, the Schur complement."""

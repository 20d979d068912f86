"""[R] Gaussian splats: rasteriser, start, training."""

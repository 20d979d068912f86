"""[B] Gaussian splats as Blender data."""

"""[R] Point clouds: assembly, cleaning, voxels."""

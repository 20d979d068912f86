"""[B] Reconstruction -> Blender data: axes, cameras, points, tracks, and the build of all of it or nothing."""

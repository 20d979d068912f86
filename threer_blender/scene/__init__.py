"""[B] Reconstruction -> Blender data: axes, cameras, points, and the build of them all or nothing."""

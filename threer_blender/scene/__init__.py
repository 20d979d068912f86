"""[B] Reconstruction -> Blender data: axes, cameras, points, and the build that puts them in a scene or changes nothing."""

"""[R] One textured surface from depth maps: volume, surface, simplification, charts, texture."""

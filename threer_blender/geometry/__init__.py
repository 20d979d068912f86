"""[R] Geometry in plain functions: lenses in pictures, features, mapping, dense stereo, fusion."""

"""[R] Pixels in: photos, decoding, EXIF, video."""

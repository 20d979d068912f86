"""[R] Dense stereo: plane sweep, PatchMatch, geometric consistency, fusion."""

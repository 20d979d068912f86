"""[R] Steps that several engines share: pairs of photos, many photos at once, refinement, adding photos."""

"""[R] Lens grids: corners of checkerboards in photos, boards made of them, and the lens that they tell."""

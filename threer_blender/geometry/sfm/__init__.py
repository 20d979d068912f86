"""[R] Structure from motion: mapping, the choice of the model, camera tracking."""

"""[R] Alignment of a network's predictions into one world."""

"""[R] The process that computes: its main, photo reading, plates."""

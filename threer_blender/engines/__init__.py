"""[R] One file an engine: a declaration that imports nothing heavy, and a function that does the work."""

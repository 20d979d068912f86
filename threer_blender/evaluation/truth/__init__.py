"""[R] Readers of the truth that published benchmarks come with. `reading.read` opens them all."""

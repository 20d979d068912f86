"""[R] Compares a result with the truth: the measures of published benchmarks, as numbers and as a page."""

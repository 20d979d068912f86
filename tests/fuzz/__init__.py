"""Readers meet damaged files and files made to do harm: mutated examples, counted kind by kind."""

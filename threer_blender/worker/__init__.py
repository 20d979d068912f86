"""[R] The process that computes: its main program, set-up, downloads, plates, shots."""

"""[R] The process that computes: its main, set-up, downloads, plates, shots."""

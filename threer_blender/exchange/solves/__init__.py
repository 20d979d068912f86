"""[S] Readers for the solves of other programs, a module for each format. `reading.read` opens them all."""

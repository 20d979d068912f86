"""[S] A result's cameras, pictures and points in the files that other programs read."""

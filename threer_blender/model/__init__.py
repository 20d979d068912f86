"""[S] The vocabulary: what a reconstruction, a lens and an engine are. Imports no other room."""

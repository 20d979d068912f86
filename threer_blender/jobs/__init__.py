"""[S] The worker seen from outside: its messages, its start and end, and the folders of its results."""

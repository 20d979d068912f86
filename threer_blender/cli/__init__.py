"""[S] The command line: its verbs."""

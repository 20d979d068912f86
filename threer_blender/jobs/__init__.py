"""[S] The process that computes, seen from outside: messages, starting and ending it, its results."""

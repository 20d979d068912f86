"""[S] The exit statuses of the command line."""

OK = 0
BUG = 1  # the log has the details
USER = 2  # the input must be corrected
WORSE = 3  # the second of two evaluations is worse than the first
CANCELLED = 130  # as shells say it of a process that SIGINT ended

"""[S] The exceptions that end a run without being a bug."""


class UserError(Exception):
    """Something that the user can mend, said in one sentence that tells how. Caught once, at a process's edge."""


class Cancelled(Exception):
    """The user cancelled. Raised by `report` inside an engine, caught once, at the runtime's edge."""

"""[S] The exceptions that end a run but are no bugs, and the way in which sentences name a file."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """A fault that the user can mend. Its text is one sentence that says how. Caught once, at a process's edge."""


class Cancelled(Exception):
    """The user cancelled. `report` raises it inside an engine; it is caught once, at the worker's edge."""


def quoted(path: str | Path) -> str:
    """A path or a name in quotation marks, for a sentence. Characters that cannot be printed are escaped."""
    text = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in str(path))
    mark = '"' if "'" in text else "'"
    return f"{mark}{text}{mark}"


def cause(error: Exception) -> str:
    """The cause of an error, for a sentence that names the file itself.

    An OSError's own text would show the path once more, as Python writes it: with doubled backslashes on Windows.
    """
    return str(getattr(error, "strerror", None) or error)


def system_refusal(error: OSError) -> str:
    """The sentence for the user about an OSError for which no other code has a sentence."""
    what = quoted(error.filename) if isinstance(error.filename, str | Path) else "A file"
    return f"{what} could not be used ({cause(error)}); close what uses it, or choose another place."

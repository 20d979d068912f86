"""[S] The exceptions that end a run without being a bug, and how their sentences name a file."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """Something that the user can mend, said in one sentence that tells how. Caught once, at a process's edge."""


class Cancelled(Exception):
    """The user cancelled. Raised by `report` inside an engine, caught once, at the runtime's edge."""


def quoted(path: str | Path) -> str:
    """A path or a name inside a sentence: in quotation marks, as it is, but for escapes of characters that a line
    cannot show."""
    text = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in str(path))
    mark = '"' if "'" in text else "'"
    return f"{mark}{text}{mark}"


def system_refusal(error: OSError) -> str:
    """The user's sentence where the system refused something that nobody else has a sentence for."""
    what = quoted(error.filename) if isinstance(error.filename, str | Path) else "A file"
    return f"{what} could not be used ({error.strerror or error}); close what uses it, or choose another place."

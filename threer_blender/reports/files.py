"""[S] Writes the report of shots as two files: a page for people, and its numbers as JSON beside it."""

from __future__ import annotations

from pathlib import Path

from ..files import whole_file
from ..files.bundle_folder import output_error
from ..model.errors import UserError, quoted
from ..model.reconstruction import Reconstruction
from . import shot_page, shot_report
from .shot_report import GENERATOR

HTML, JSON = ".html", ".json"
HEAD = 400  # bytes at the beginning of a report within which it names its GENERATOR


def write(reconstruction: Reconstruction, path: Path) -> list[Path]:
    """Writes the page and its numbers to `path` with the endings .html and .json, and returns the two paths.

    They replace earlier reports. Raises UserError where there is no shot, a file that is no report has one of the
    names, or they cannot be written.
    """
    if not reconstruction.shots:
        raise UserError("This result has no shot: a report is about a video or an image sequence that was solved.")
    named = path.with_suffix("") if path.suffix.lower() in (HTML, JSON) else path
    texts = {
        named.with_name(named.name + HTML): shot_page.page(reconstruction),
        named.with_name(named.name + JSON): shot_report.as_json(reconstruction),
    }
    try:
        for file in texts:
            if file.exists() and not _is_report(file):
                raise UserError(f"{quoted(file)} is no report of ours; choose another name.")
        for file, text in texts.items():
            whole_file.write_text(file, text)
    except OSError as error:
        raise output_error(path, error) from error
    return list(texts)


def _is_report(file: Path) -> bool:
    """Whether a file was written by `write`."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return GENERATOR.encode() in opened.read(HEAD)

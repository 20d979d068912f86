"""[S] Writes a report as two files: a page for people, and its numbers as JSON beside it."""

from __future__ import annotations

from pathlib import Path

from ..files import whole_file
from ..files.bundle_folder import output_error
from ..model.errors import UserError, quoted
from ..model.reconstruction import Reconstruction
from . import shot_page, shot_report
from .shot_report import GENERATOR

HTML, JSON = ".html", ".json"
HEAD = 400  # bytes at the beginning of a report within which it names its generator


def write(reconstruction: Reconstruction, path: Path) -> list[Path]:
    """Writes the page and its numbers to `path` with the endings .html and .json, and returns the two paths.

    They replace earlier reports. Raises UserError where there is no shot, a file that is no report has one of the
    names, or they cannot be written.
    """
    if not reconstruction.shots:
        raise UserError("This result has no shot: a report is about a video or an image sequence that was solved.")
    return write_texts(path, shot_page.page(reconstruction), shot_report.as_json(reconstruction), GENERATOR)


def paths(path: Path) -> tuple[Path, Path]:
    """The paths of a report's page and numbers: `path` with the endings .html and .json."""
    named = path.with_suffix("") if path.suffix.lower() in (HTML, JSON) else path
    return named.with_name(named.name + HTML), named.with_name(named.name + JSON)


def write_texts(path: Path, page: str, numbers: str, generator: str) -> list[Path]:
    """Writes the texts of a page and its numbers, both of which name the `generator`. As `write` does."""
    texts = dict(zip(paths(path), (page, numbers), strict=True))
    try:
        for file in texts:
            if file.exists() and not _is_report(file, generator):
                raise UserError(f"{quoted(file)} is no report of ours; choose another name.")
        for file, text in texts.items():
            whole_file.write_text(file, text)
    except OSError as error:
        raise output_error(path, error) from error
    return list(texts)


def _is_report(file: Path, generator: str) -> bool:
    """Whether a file was written by this `generator`."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return generator.encode() in opened.read(HEAD)

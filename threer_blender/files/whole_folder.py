"""[S] A folder of files is written whole or not at all, and replaces only what an earlier run has written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..model.errors import quoted
from . import removal
from .bundle_folder import Manifest, Staging, check_output, new_run, output_error, write_manifest


class NewFolder:
    """A folder in the making: files go to `path`; `place` is where they stand once it is whole."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder, self.place = path, folder, folder

    def sentences(self, content: str) -> list[str]:
        """One that says where the content is, if not where it was to be."""
        if self.place == self.folder:
            return []
        return [f"Something else was put into {quoted(self.folder)} meanwhile: {content} are in {quoted(self.place)}."]


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[NewFolder]:
    """A new folder to write to, which takes the name `folder` as the block ends, and goes as the block raises.

    Its `place` is another one where somebody has put something else there meanwhile. Raises UserError where the folder
    holds something else before, or cannot be written.
    """
    check_output(folder)
    staging = Staging(folder, new_run())
    new = NewFolder(staging.new, folder)
    try:
        staging.make()
        new.path.mkdir()
        yield new
        write_manifest(new.path, Manifest(staging.run, removal.listed(new.path)))
        new.place = staging.put_in_place()
    except OSError as error:
        raise output_error(folder, error) from error
    finally:
        staging.discard()

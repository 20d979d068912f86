"""[S] Folders that are written whole or not at all, and that replace only folders of earlier runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..model.errors import quoted
from . import removal
from .bundle_folder import Manifest, Staging, check_output, new_run, output_error, write_manifest


class NewFolder:
    """A folder in the making: files are written to `path`. Once it is whole, `place` is where it is.

    That is `folder`, the place that was asked for, unless somebody put files of theirs there meanwhile.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder, self.place = path, folder, folder

    def sentences(self, content: str) -> list[str]:
        """A sentence where the `content` (a plural noun) is not in the folder that was asked for; else none."""
        if self.place == self.folder:
            return []
        return [f"Something else was put into {quoted(self.folder)} meanwhile: {content} are in {quoted(self.place)}."]


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[NewFolder]:
    """Yields a new folder to write to. At the end of the block it takes the name `folder`.

    Where the block raises, the new folder is removed. Raises UserError where `folder` holds anything that no earlier
    run wrote, or cannot be written.
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

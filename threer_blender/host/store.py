"""[S] The weights store: one folder of checkpoint files that all engines share, and other places that may have them.

Beside each file NAME lies NAME.json, the proof that it was checked: its sha256, and the size and time it had then. So a
file is hashed once, not at every start. Where a user's own file stands in for it, NAME.own holds its path. Nothing
here touches the network; `worker/download.py` does.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..files import whole_file
from ..files.digest import sha256
from ..model.engine import Weights
from ..model.errors import UserError
from .environment import user_folder

FOLDER = "weights"  # in the folder of caches and logs
OWN = ".own"  # of the note with the path of the user's own file


@dataclass(frozen=True)
class Proof:
    """That the file at `path` had this hash while it had this size (bytes) and time (ns)."""

    path: str
    sha256: str
    size: int
    modified: int


class Store:
    """The weights in `folder`, and in Hugging Face's cache, which is read only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, weights: Weights) -> Path:
        """Where a download puts the file."""
        return self.folder / weights.name

    def find(self, weights: Weights) -> Path | None:
        """The user's own file, else one of the right size, not yet hashed; None where there is none. Fast."""
        if own := self.own(weights):
            return own
        for path in (self.path(weights), *_in_hugging_face_cache(weights)):
            if path.is_file() and weights.size in (0, path.stat().st_size):
                return path
        return None

    def own(self, weights: Weights) -> Path | None:
        """The file of the user's own that stands in for these weights; None where there is none, or it has gone."""
        note = self._own(weights)
        path = Path(note.read_text("utf-8")) if note.is_file() else None
        return path if path is not None and path.is_file() else None

    def use(self, weights: Weights, path: Path) -> None:
        """Lets a file of the user's own stand in for these weights, where it lies, until `delete`.

        Raises UserError where there is no such file, or the choice cannot be written.
        """
        if not path.is_file():
            raise UserError(f"There is no weights file {str(path)!r}; check the path.")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            whole_file.write_text(self._own(weights), str(path.absolute()))
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def verify(self, weights: Weights, path: Path, known: str = "") -> None:
        """Hashes a found file unless its hash is `known` or was taken before; the user's own is taken as it is.

        Raises UserError where it is not what was published.
        """
        if path == self.own(weights):
            return
        expected = weights.sha256 or self.pinned(weights)
        if path.resolve().name == expected:  # Hugging Face's cache names files by their hash
            return
        proof = self._proof(weights)
        status = path.stat()
        if proof is None or (proof.path, proof.size, proof.modified) != (str(path), status.st_size, status.st_mtime_ns):
            proof = Proof(str(path), known or sha256(path), status.st_size, status.st_mtime_ns)
        if expected and proof.sha256 != expected:
            raise UserError(
                f"{str(path)!r} is damaged or is not the published {weights.name}; delete it and download it again."
            )
        self.prove(weights, proof)

    def pinned(self, weights: Weights) -> str:
        """The hash that the first download of a file without a published hash had; "" before that."""
        proof = self._proof(weights)
        return "" if proof is None else proof.sha256

    def is_accepted(self, weights: Weights) -> bool:
        """Whether the terms of these weights' family have been accepted here."""
        return self._acceptance(weights).is_file()

    def accept(self, weights: Weights) -> None:
        """Notes that the user has accepted the terms of a family. Raises UserError where that cannot be written."""
        noted = {"licence": weights.licence, "terms": weights.terms_url, "accepted": time.strftime("%Y-%m-%d")}
        try:
            self._acceptance(weights).parent.mkdir(parents=True, exist_ok=True)
            whole_file.write_text(self._acceptance(weights), json.dumps(noted))
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def held(self, weights: Weights) -> int:
        """Bytes that the file and unfinished parts of it take in this folder."""
        path = self.path(weights)
        parts = (path, path.with_name(f"{path.name}.partial"))
        return sum(part.stat().st_size for part in parts if part.is_file())

    def delete(self, weights: Weights) -> int:
        """Forgets the user's own file where one stands in, else deletes the one in this folder. Returns bytes freed.

        A hash that was kept stays. Raises UserError where the folder cannot be changed.
        """
        own = self._own(weights).is_file()
        freed = 0 if own else self.held(weights)
        path = self.path(weights)
        try:
            for suffix in (OWN,) if own else ("", ".partial", ".partial.json"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        return freed

    def _acceptance(self, weights: Weights) -> Path:
        return self.folder / "accepted" / f"{weights.family}.json"

    def prove(self, weights: Weights, proof: Proof) -> None:
        """Keeps the proof, where the store can be written."""
        if proof == self._proof(weights):
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            whole_file.write_text(self._note(weights), json.dumps(asdict(proof)))
        except OSError:
            return  # a studio's read-only store: the file is hashed again next time

    def _own(self, weights: Weights) -> Path:
        return self.folder / f"{weights.name}{OWN}"

    def _note(self, weights: Weights) -> Path:
        return self.folder / f"{weights.name}.json"

    def _proof(self, weights: Weights) -> Proof | None:
        try:
            return Proof(**json.loads(self._note(weights).read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None


def default(home: Path | None = None) -> Store:
    """The store that THREER_WEIGHTS names, else the one in `home`, by default the user's own folder."""
    named = os.environ.get("THREER_WEIGHTS")
    return Store(Path(named) if named else (home or user_folder()) / FOLDER)


def token() -> str:
    """The token that the user has given to Hugging Face's own tools; "" where there is none."""
    kept = Path(os.environ.get("HF_TOKEN_PATH", _hugging_face() / "token"))
    return os.environ.get("HF_TOKEN") or (kept.read_text("utf-8").strip() if kept.is_file() else "")


def _in_hugging_face_cache(weights: Weights) -> Iterator[Path]:
    """The copies of a file on huggingface.co that its own tools have downloaded, of whatever revision."""
    address = urlsplit(weights.url)
    if address.hostname != "huggingface.co":
        return
    # /OWNER/NAME/resolve/REVISION/FILE
    owner, name, _, _, *file = unquote(address.path).strip("/").split("/")
    folder = Path(os.environ.get("HF_HUB_CACHE", _hugging_face() / "hub")) / f"models--{owner}--{name}" / "snapshots"
    for snapshot in sorted(folder.glob("*")):
        yield snapshot.joinpath(*file)


def _hugging_face() -> Path:
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("HF_HOME", caches / "huggingface"))


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(f"The weights folder {str(folder)!r} cannot be changed: {error.strerror}.")

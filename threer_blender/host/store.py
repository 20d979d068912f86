"""[S] The weights store: one folder of checkpoint files that all engines share, and other places that may have them.

Notes about a file NAME lie in a folder of ours within the store: NAME.json, the proof that it was checked, with its
sha256 and the size and time it had then. So a file is hashed once, not at every start. Where a user's own file
stands in for it, NAME.own holds its path. Unfinished downloads lie there, too. Nothing here touches the network;
`worker/download.py` does.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..files import removal, whole_file
from ..files.digest import sha256
from ..model.engine import Weights
from ..model.errors import UserError, quoted
from .environment import user_folder

FOLDER = "weights"  # in the folder of caches and logs
NOTES = ".threer"  # our folder in the store, for notes, downloads and locks
USER_FILE = ".own"  # of the note with the path of the user's own file
PARTIAL, PARTIAL_NOTE = ".partial", ".partial.json"  # of what has arrived of a file, and of the note about that


@dataclass(frozen=True)
class Proof:
    """That the file at `path` had this hash while it had this size (bytes) and time (ns).

    `downloaded`: we made it, and may delete it. `opened`: it has been opened as exactly the network that it is for; for
    a file whose hash nobody has published, that makes this hash the one that it must have from then on.
    """

    path: str
    sha256: str
    size: int
    modified: int
    downloaded: bool = False
    opened: bool = False


class Store:
    """The weights in `folder`, and in Hugging Face's cache, which is read only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, weights: Weights) -> Path:
        """Where a download puts the file."""
        return self.folder / weights.name

    def find(self, weights: Weights) -> Path | None:
        """The user's own file, else one of the right size, not yet hashed; None where there is none. Fast."""
        if user_file := self.user_file(weights):
            return user_file
        for path in (self.path(weights), *_in_hugging_face_cache(weights)):
            if path.is_file() and weights.size in (0, path.stat().st_size):
                return path
        return None

    def user_file(self, weights: Weights) -> Path | None:
        """The file of the user's own that stands in for these weights; None where there is none, or it has gone."""
        try:
            path = Path(self._user_file_note(weights).read_text("utf-8"))
            return path if path.is_file() else None
        except (OSError, ValueError):  # no note, or none of ours
            return None

    def use(self, weights: Weights, path: Path) -> None:
        """Lets a file of the user's own stand in for these weights, where it lies, until `delete`.

        Raises UserError where there is no such file, or the choice cannot be written.
        """
        if not path.is_file():
            raise UserError(f"There is no weights file {quoted(path)}; check the path.")
        try:
            removal.claim(self._notes)
            whole_file.write_text(self._user_file_note(weights), str(path.absolute()))
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def verify(self, weights: Weights, path: Path) -> Proof | None:
        """Hashes the file at `path` unless that was done before. Returns the proof; None for the user's own file.

        Raises UserError where it is not what was published.
        """
        if path == self.user_file(weights):
            return None
        expected = weights.sha256 or self.pinned(weights)
        if path.resolve().name == expected:  # Hugging Face's cache names files by their hash
            return None
        known, status = self._proof(weights), path.stat()
        now = (str(path), status.st_size, status.st_mtime_ns)
        if known is not None and known.sha256 and (known.path, known.size, known.modified) == now:
            proof = known
        else:
            digest = sha256(path)
            proof = Proof(str(path), digest, status.st_size, status.st_mtime_ns)
            if known is not None and (known.path, known.sha256) == (proof.path, digest):
                proof = replace(proof, downloaded=known.downloaded, opened=known.opened)
        if expected and proof.sha256 != expected:
            advice = "delete it and download it again"
            if not weights.sha256:
                advice += f", or forget the hash that was kept: `weights forget {weights.name}`"
            raise UserError(f"{quoted(path)} is damaged or is not the published {weights.name}; {advice}.")
        self.prove(weights, proof)
        return proof

    def downloaded(self, weights: Weights, digest: str) -> None:
        """Notes that the file in the store is one that we have just downloaded, with this hash."""
        path = self.path(weights)
        status = path.stat()
        proof = Proof(str(path), digest, status.st_size, status.st_mtime_ns, downloaded=True)
        self.prove(weights, replace(proof, opened=bool(weights.sha256)))

    def opened(self, weights: Weights, path: Path) -> None:
        """Notes that the file at `path` has been opened as exactly the network that these weights are of."""
        proof = self._proof(weights)
        if proof is not None and proof.path == str(path) and not proof.opened:
            self.prove(weights, replace(proof, opened=True))

    def pinned(self, weights: Weights) -> str:
        """The hash that a file without a published hash had when it first opened as its network; "" before that."""
        proof = self._proof(weights)
        return proof.sha256 if proof is not None and proof.opened else ""

    def forget(self, weights: Weights) -> bool:
        """Forgets the hash that was kept for a file without a published one; whether there was any."""
        known = self.pinned(weights) != "" and not weights.sha256
        if known:
            proof = self._proof(weights)
            assert proof is not None
            self.prove(weights, replace(proof, sha256="", opened=False))
        return known

    def is_accepted(self, weights: Weights) -> bool:
        """Whether the terms of these weights' family have been accepted here."""
        return self._acceptance(weights).is_file()

    def accept(self, weights: Weights) -> None:
        """Notes that the user has accepted the terms of a family. Raises UserError where that cannot be written."""
        noted = {"licence": weights.licence, "terms": weights.terms_url, "accepted": time.strftime("%Y-%m-%d")}
        try:
            removal.claim(self._notes)
            self._acceptance(weights).parent.mkdir(exist_ok=True)
            whole_file.write_text(self._acceptance(weights), json.dumps(noted))
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def held(self, weights: Weights) -> int:
        """Bytes that the file and unfinished parts of it take in this folder."""
        path = self.path(weights)
        parts = (path, self._notes / f"{path.name}{PARTIAL}")
        return sum(part.stat().st_size for part in parts if part.is_file())

    def delete(self, weights: Weights) -> int:
        """Deletes the file that we have downloaded, and what there is of one, and returns the bytes freed; where the
        user's own stands in, that is only forgotten. Raises UserError where the file is not ours, or stays.
        """
        if self._user_file_note(weights).is_file():
            self._remove(self._user_file_note(weights))
            return 0
        path, freed, proof = self.path(weights), self.held(weights), self._proof(weights)
        if path.exists():
            if not self.is_ours(weights):
                raise UserError(f"{quoted(path)} is not as this extension downloaded it and stays; delete it yourself.")
            self._remove(path)
        for suffix in (PARTIAL, PARTIAL_NOTE):
            self._remove(self._notes / f"{weights.name}{suffix}")
        if proof is not None and self.pinned(weights) and not weights.sha256:  # what is downloaded next must equal it
            self.prove(weights, replace(proof, size=0, modified=0, downloaded=False))
        else:
            self._remove(self._note(weights))
        return freed

    def is_ours(self, weights: Weights) -> bool:
        """Whether the file in the store is as we have downloaded it; False where there is none."""
        path, proof = self.path(weights), self._proof(weights)
        if proof is None or not proof.downloaded or proof.path != str(path) or path.is_symlink():
            return False
        return path.is_file() and (path.stat().st_size, path.stat().st_mtime_ns) == (proof.size, proof.modified)

    def _remove(self, note: Path) -> None:
        try:
            removal.remove_made_file(note)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    @property
    def _notes(self) -> Path:
        """Our folder within the store, for everything that is not weights."""
        return self.folder / NOTES

    def _acceptance(self, weights: Weights) -> Path:
        return self._notes / "accepted" / f"{weights.family}.json"

    def prove(self, weights: Weights, proof: Proof) -> None:
        """Writes the proof down, if the store can be written."""
        if proof == self._proof(weights):
            return
        try:
            removal.claim(self._notes)
            whole_file.write_text(self._note(weights), json.dumps(asdict(proof)))
        except (OSError, UserError):
            return  # a studio's read-only store: the file is hashed again next time

    def _user_file_note(self, weights: Weights) -> Path:
        return self._notes / f"{weights.name}{USER_FILE}"

    def _note(self, weights: Weights) -> Path:
        return self._notes / f"{weights.name}.json"

    def _proof(self, weights: Weights) -> Proof | None:
        try:
            proof = Proof(**json.loads(self._note(weights).read_text("utf-8")))
            return proof if isinstance(proof.sha256, str) else None
        except (OSError, ValueError, TypeError, RecursionError):
            return None


def default(data_folder: Path | None = None) -> Store:
    """The store that THREER_WEIGHTS names, else the one in `data_folder`, by default the user's own folder."""
    named = os.environ.get("THREER_WEIGHTS")
    return Store(Path(named) if named else (data_folder or user_folder()) / FOLDER)


def token() -> str:
    """The token that the user has given to Hugging Face's own tools; "" where there is none."""
    file = Path(os.environ.get("HF_TOKEN_PATH", _hugging_face() / "token"))
    try:
        return os.environ.get("HF_TOKEN") or file.read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""


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
    return UserError(f"The weights folder {quoted(folder)} cannot be changed: {error.strerror or error}.")

"""[S] The weights store: one folder of checkpoint files that all engines share, and other places that may have them.

Notes about a file NAME lie in a folder of ours within the store. NAME.json is the proof that the file was checked: its
sha256, and the size and time that it had then. So a file is hashed once, not at every start. Where a user's own file
stands in for it, NAME.own holds the path of that file. Unfinished downloads lie in the same folder. Nothing here
touches the network; `worker/download.py` does.
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

FOLDER = "weights"  # in the data folder
WEIGHTS_VARIABLE = "THREER_WEIGHTS"  # the environment variable that names another folder; the worker inherits it
NOTES = ".threer"  # our folder in the store, for notes, downloads and locks
# Endings of the files in that folder.
USER_FILE = ".own"  # the note with the path of the user's own file
PARTIAL = ".partial"  # the part of a download that has arrived
PARTIAL_NOTE = ".partial.json"  # the note about that part


@dataclass(frozen=True)
class Proof:
    """The proof that the file at `path` had this hash while it had this `size` (bytes) and `modified` time (ns).

    `downloaded`: we downloaded the file, and may delete it. `fits_network`: the file holds exactly the network that it
    is for; it was loaded, or has the published hash. Where nobody has published a hash of the file, this hash is then
    pinned: from then on the file must have it.
    """

    path: str
    sha256: str
    size: int
    modified: int
    downloaded: bool = False
    fits_network: bool = False


class Store:
    """The weights in `folder`, and in Hugging Face's cache, which is read only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, weights: Weights) -> Path:
        """Where a download puts the file."""
        return self.folder / weights.name

    def find(self, weights: Weights) -> Path | None:
        """The user's own file, else a file of the published size; None where there is neither.

        No file is hashed, so this is fast; `verify` hashes.
        """
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
        """Hashes the file at `path` unless that was done before. Returns the proof.

        Returns None where nothing is hashed: for the user's own file, and for a file in Hugging Face's cache that is
        named by the expected hash. Raises UserError where the hash is neither the published nor the pinned one.
        """
        if path == self.user_file(weights):
            return None
        expected = weights.sha256 or self.pinned(weights)
        if path.resolve().name == expected:  # Hugging Face's cache names files by their hash; we trust it
            return None
        earlier, status = self._proof(weights), path.stat()
        current = (str(path), status.st_size, status.st_mtime_ns)
        if earlier is not None and earlier.sha256 and (earlier.path, earlier.size, earlier.modified) == current:
            proof = earlier
        else:
            digest = sha256(path)
            proof = Proof(str(path), digest, status.st_size, status.st_mtime_ns)
            if earlier is not None and (earlier.path, earlier.sha256) == (proof.path, digest):
                proof = replace(proof, downloaded=earlier.downloaded, fits_network=earlier.fits_network)
        if expected and proof.sha256 != expected:
            advice = "delete it and download it again"
            if not weights.sha256:
                advice += f", or forget the hash that was kept: `weights forget {weights.name}`"
            raise UserError(f"{quoted(path)} is damaged or is not the published {weights.name}; {advice}.")
        self.write_proof(weights, proof)
        return proof

    def note_download(self, weights: Weights, digest: str) -> None:
        """Notes that the file in the store is one that we have just downloaded, with this hash."""
        path = self.path(weights)
        status = path.stat()
        proof = Proof(str(path), digest, status.st_size, status.st_mtime_ns, downloaded=True)
        has_published_hash = bool(weights.sha256)  # the download was checked against it
        self.write_proof(weights, replace(proof, fits_network=has_published_hash))

    def note_fits_network(self, weights: Weights, path: Path) -> None:
        """Notes that the file at `path` was loaded and holds exactly the network that these weights are of."""
        proof = self._proof(weights)
        if proof is not None and proof.path == str(path) and not proof.fits_network:
            self.write_proof(weights, replace(proof, fits_network=True))

    def pinned(self, weights: Weights) -> str:
        """The hash that the file had when it was first loaded as its network; "" before that.

        It takes the place of a published hash where there is none.
        """
        proof = self._proof(weights)
        return proof.sha256 if proof is not None and proof.fits_network else ""

    def forget_pinned(self, weights: Weights) -> bool:
        """Forgets the pinned hash of a file that has no published hash. Returns whether there was a pinned hash."""
        was_pinned = self.pinned(weights) != "" and not weights.sha256
        if was_pinned:
            proof = self._proof(weights)
            assert proof is not None
            self.write_proof(weights, replace(proof, sha256="", fits_network=False))
        return was_pinned

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

    def bytes_held(self, weights: Weights) -> int:
        """The bytes that the file and its unfinished download take in this store."""
        path = self.path(weights)
        parts = (path, self._notes / f"{path.name}{PARTIAL}")
        return sum(part.stat().st_size for part in parts if part.is_file())

    def delete(self, weights: Weights) -> int:
        """Deletes the file that we have downloaded, and an unfinished download of it. Returns the bytes freed.

        Where the user's own file stands in, only its path is forgotten, and nothing else is deleted. Raises UserError
        where the file is not ours, or cannot be deleted.
        """
        if self._user_file_note(weights).is_file():
            self._remove(self._user_file_note(weights))
            return 0
        path, freed, proof = self.path(weights), self.bytes_held(weights), self._proof(weights)
        if path.exists():
            if not self.is_ours(weights):
                raise UserError(f"{quoted(path)} is not as this extension downloaded it and stays; delete it yourself.")
            self._remove(path)
        for suffix in (PARTIAL, PARTIAL_NOTE):
            self._remove(self._notes / f"{weights.name}{suffix}")
        # A pinned hash outlives its file: the next download must have the same hash.
        if proof is not None and self.pinned(weights) and not weights.sha256:
            self.write_proof(weights, replace(proof, size=0, modified=0, downloaded=False))
        else:
            self._remove(self._note(weights))
        return freed

    def is_ours(self, weights: Weights) -> bool:
        """Whether the file in the store has the size and time of our download; False where there is no file."""
        path, proof = self.path(weights), self._proof(weights)
        if proof is None or not proof.downloaded or proof.path != str(path) or path.is_symlink():
            return False
        return path.is_file() and (path.stat().st_size, path.stat().st_mtime_ns) == (proof.size, proof.modified)

    def _remove(self, file: Path) -> None:
        try:
            removal.remove_made_file(file)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    @property
    def _notes(self) -> Path:
        """Our folder within the store, for everything that is not weights."""
        return self.folder / NOTES

    def _acceptance(self, weights: Weights) -> Path:
        return self._notes / "accepted" / f"{weights.family}.json"

    def write_proof(self, weights: Weights, proof: Proof) -> None:
        """Writes the proof into the note. Does nothing where the store cannot be written."""
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
        """The proof in the note; None where there is no note, or none of ours."""
        try:
            proof = Proof(**json.loads(self._note(weights).read_text("utf-8")))
            return proof if isinstance(proof.sha256, str) else None
        except (OSError, ValueError, TypeError, RecursionError):
            return None


def default(data_folder: Path | None = None) -> Store:
    """The store in the folder that THREER_WEIGHTS names, else in `data_folder`, which is the user's own by default."""
    named = os.environ.get(WEIGHTS_VARIABLE)
    return Store(Path(named) if named else (data_folder or user_folder()) / FOLDER)


def token() -> str:
    """The access token that the user has given to Hugging Face's own tools; "" where there is none."""
    file = Path(os.environ.get("HF_TOKEN_PATH", _hugging_face() / "token"))
    try:
        return os.environ.get("HF_TOKEN") or file.read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""


def _in_hugging_face_cache(weights: Weights) -> Iterator[Path]:
    """The paths at which Hugging Face's own tools keep their copies of the file, one for each revision.

    There may be no file at a path. None are yielded for weights that are not on huggingface.co.
    """
    address = urlsplit(weights.url)
    if address.hostname != "huggingface.co":
        return
    # /OWNER/NAME/resolve/REVISION/FILE
    owner, name, _, _, *file = unquote(address.path).strip("/").split("/")
    folder = Path(os.environ.get("HF_HUB_CACHE", _hugging_face() / "hub")) / f"models--{owner}--{name}" / "snapshots"
    for snapshot in sorted(folder.glob("*")):
        yield snapshot.joinpath(*file)


def _hugging_face() -> Path:
    """The folder of Hugging Face's own tools."""
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("HF_HOME", caches / "huggingface"))


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(f"The weights folder {quoted(folder)} cannot be changed: {error.strerror or error}.")

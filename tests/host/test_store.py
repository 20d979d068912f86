"""Weights are found where they are, hashed once, and refused where they are not what was published."""

import hashlib
import os
from pathlib import Path

import pytest

from threer_blender import headless
from threer_blender.engines import registry
from threer_blender.files import removal
from threer_blender.host import store
from threer_blender.model.engine import Engine, Weights
from threer_blender.model.errors import UserError
from threer_blender.runtime import context
from threer_blender.runtime import weights as runtime_weights
from threer_blender.runtime.context import Context

CONTENT = b"tensors" * 100
HASH = hashlib.sha256(CONTENT).hexdigest()


def weights(name: str = "net.safetensors", sha256: str = HASH, size: int = len(CONTENT)) -> Weights:
    url = f"https://huggingface.co/owner/net/resolve/0123/{name}"
    return Weights(name, url, size, sha256, "Net", "MIT", "https://example.org/terms")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store's folder; nothing else of this computer is seen."""
    monkeypatch.setenv("THREER_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def cached(hub: Path, linked: bool) -> Path:
    """Writes the file as Hugging Face's tools keep it: a link to a blob that is named by its hash, or a plain file."""
    snapshot = hub / "models--owner--net" / "snapshots" / "4567"
    snapshot.mkdir(parents=True)
    file = snapshot / "net.safetensors"
    if linked:
        blob = hub / "models--owner--net" / "blobs" / HASH
        blob.parent.mkdir()
        blob.write_bytes(CONTENT)
        file.symlink_to(blob)
    else:
        file.write_bytes(CONTENT)
    return file


def test_absent_weights_say_how_to_get_them() -> None:
    with pytest.raises(UserError, match=r"weights download net\.safetensors`\.$"):
        runtime_weights.locate(weights())


def test_a_file_in_the_store_is_located(folder: Path) -> None:
    (folder / "net.safetensors").write_bytes(CONTENT)
    assert runtime_weights.locate(weights()) == folder / "net.safetensors"


@pytest.mark.parametrize("linked", [True, False])
def test_hugging_faces_cache_is_used(tmp_path: Path, linked: bool) -> None:
    file = cached(tmp_path / "hub", linked)
    assert runtime_weights.locate(weights()) == file


def test_a_wrong_hash_is_refused(folder: Path) -> None:
    (folder / "net.safetensors").write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(UserError, match="damaged"):
        runtime_weights.locate(weights())


def test_a_file_of_another_size_is_none(folder: Path) -> None:
    (folder / "net.safetensors").write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match="are not on this computer"):
        runtime_weights.locate(weights())


def test_a_file_is_hashed_once_and_again_when_it_has_changed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "net.safetensors"
    file.write_bytes(CONTENT)
    hashed: list[Path] = []

    def sha256(path: Path) -> str:
        hashed.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(store, "sha256", sha256)
    for _ in range(3):
        runtime_weights.locate(weights())
    assert hashed == [file]
    file.write_bytes(CONTENT[:-1] + b"!")
    os.utime(file, ns=(1, 1))
    with pytest.raises(UserError, match="damaged"):
        runtime_weights.locate(weights())


def test_the_first_file_that_fits_its_network_pins_a_hash_that_nobody_published(folder: Path) -> None:
    """Later files must have that hash."""
    file, unpinned, default_store = folder / "net.safetensors", weights(sha256="", size=0), store.default()
    file.write_bytes(b"a page that says that you must log in")
    runtime_weights.locate(unpinned)
    assert default_store.pinned(unpinned) == ""  # it was never loaded as a network
    file.write_bytes(CONTENT)
    path = runtime_weights.locate(unpinned)
    runtime_weights.note_fits_network(unpinned, path)
    assert default_store.pinned(unpinned) == HASH
    os.utime(file, ns=(1, 1))
    runtime_weights.locate(unpinned)
    assert default_store.pinned(unpinned) == HASH
    file.write_bytes(CONTENT + b"!")
    with pytest.raises(UserError, match=r"is damaged .*, or forget the hash that was kept: `weights forget net"):
        runtime_weights.locate(unpinned)
    assert default_store.forget_pinned(unpinned)
    assert not default_store.forget_pinned(unpinned)
    assert runtime_weights.locate(unpinned) == file
    assert default_store.pinned(unpinned) == ""


def test_a_published_hash_is_never_forgotten(folder: Path) -> None:
    file = folder / "net.safetensors"
    file.write_bytes(CONTENT)
    runtime_weights.note_fits_network(weights(), runtime_weights.locate(weights()))
    assert not store.default().forget_pinned(weights())


def test_a_file_that_we_did_not_download_is_never_deleted(folder: Path) -> None:
    file, default_store = folder / "net.safetensors", store.default()
    file.write_bytes(CONTENT)
    runtime_weights.locate(weights())
    with pytest.raises(UserError, match="is not as this extension downloaded it and stays; delete it yourself"):
        default_store.delete(weights())
    default_store.note_download(weights(), HASH)
    file.write_bytes(b"my own now")
    with pytest.raises(UserError, match="stays"):
        default_store.delete(weights())
    assert file.read_bytes() == b"my own now"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"path": 7}', b"[" * 100_000, b"null"])
def test_notes_that_cannot_be_read_are_none(folder: Path, content: bytes) -> None:
    removal.claim(folder / ".threer")
    for ending in (".json", ".own"):
        (folder / ".threer" / f"net.safetensors{ending}").write_bytes(content)
    (folder / "net.safetensors").write_bytes(CONTENT)
    assert runtime_weights.locate(weights()) == folder / "net.safetensors"


@pytest.mark.parametrize("named", [False, True])
def test_the_users_own_file_comes_first_and_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    mine = tmp_path / "mine.pth"
    mine.write_bytes(b"finetuned")
    engine = Engine("net", "Net", "Net.", "MIT", True, frozenset(), (), (), (weights(),))
    monkeypatch.setattr(registry, "engine", lambda _id: engine)
    given = [f"net.safetensors={mine}" if named else str(mine)]
    request = headless.reconstruction_request(["a.jpg"], tmp_path / "out", "net", weights=given)
    with context.entered(Context({name: Path(path) for name, path in request.weights.items()})):
        assert runtime_weights.locate(weights()) == mine


def test_a_file_of_the_users_own_stands_in_until_it_is_deleted(tmp_path: Path, folder: Path) -> None:
    mine, default_store = tmp_path / "mine.pth", store.default()
    with pytest.raises(UserError, match=r"no weights file .*mine\.pth'; check the path"):
        default_store.use(weights(), mine)
    mine.write_bytes(b"finetuned")
    (folder / "net.safetensors").write_bytes(CONTENT)
    default_store.use(weights(), mine)
    assert runtime_weights.locate(weights()) == mine
    mine.rename(tmp_path / "moved.pth")
    assert runtime_weights.locate(weights()) == folder / "net.safetensors"
    (tmp_path / "moved.pth").rename(mine)
    default_store.note_download(weights(), HASH)
    assert default_store.delete(weights()) == 0  # only forgets the user's file; the next one deletes the download
    assert mine.exists()
    assert default_store.find(weights()) == folder / "net.safetensors"
    assert default_store.delete(weights()) == len(CONTENT)
    assert default_store.find(weights()) is None


@pytest.mark.parametrize(
    ("names", "text", "sentence"),
    [
        ((), "x.pth", "uses no weights"),
        (("a", "b"), "x.pth", "has several weights"),
        (("a",), "x.pth", "There is no weights file"),
        (("a", "b"), "a=x.pth", "There is no weights file"),
    ],
)
def test_wrong_files_are_refused_before_a_run(
    monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], text: str, sentence: str
) -> None:
    engine = Engine("net", "Net", "Net.", "MIT", True, frozenset(), (), (), tuple(weights(name) for name in names))
    monkeypatch.setattr(registry, "engine", lambda _id: engine)
    with pytest.raises(UserError, match=sentence):
        headless.reconstruction_request(["a.jpg"], "out", "net", weights=[text])


def test_terms_are_accepted_before_anything_is_downloaded(folder: Path) -> None:
    """An empty store can note that terms were accepted; its folder of notes is made for that, as ours."""
    default_store = store.default()
    default_store.accept(weights())
    assert default_store.is_accepted(weights())
    assert removal.is_ours(folder / ".threer")

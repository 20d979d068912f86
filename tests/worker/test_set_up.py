"""The private environment's set-up with a stand-in for uv: what it is asked, and what is said where it fails.

The real thing is `nox -s environment`.
"""

from __future__ import annotations

import json
import platform
import sys
import zipfile
from pathlib import Path

import pytest

from threer_blender.files import digest, removal
from threer_blender.host import environment, hardware
from threer_blender.jobs.messages import Message, Notice, SetUp
from threer_blender.model.errors import UserError
from threer_blender.runtime.report import MessageReport
from threer_blender.worker import set_up
from threer_blender.worker.download import RemoteFile

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for uv is a script")

NO_PYTHON = """error: Failed to install cpython-3.13.18-linux-x86_64-gnu
  cause: Request failed after 3 retries in 5.4s
  cause: Failed to download `https://github.com/astral-sh/python-build-standalone/releases/download/a.tar.gz`
  cause: error sending request for url (https://github.com/astral-sh/python-build-standalone/releases/download/a.tar.gz)
  cause: client error (Connect)
  cause: dns error
  cause: failed to lookup address information: Name or service not known
"""
NO_TORCH = """error: Request failed after 3 retries in 10.3s
  cause: Failed to fetch: https://download.pytorch.org/whl/cu132/torch/
  cause: error sending request for url (https://download.pytorch.org/whl/cu132/torch/)
  cause: client error (Connect)
  cause: failed to lookup address information: Name or service not known
"""
NO_VERSION = """  × No solution found when resolving dependencies:
  ╰─▶ Because there is no version of torch==2.13.0 and you require torch==2.13.0, we can conclude that your
      requirements are unsatisfiable.
"""
UV = """#!{python}
import json, os, sys
with open({calls!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
with open({calls!r} + " where", "w") as file:
    json.dump([os.getcwd(), os.listdir(), dict(os.environ)], file)
assert sys.argv.pop(1) == "--no-config"
fails = json.load(open({fails!r}))
said = fails.get(sys.argv[1]) or fails.get(" ".join(sys.argv[1:3]))
if said:
    print(said, file=sys.stderr)
    sys.exit(2)
if sys.argv[1] == "venv":
    os.makedirs(sys.argv[-1])
"""


class StandIn:
    """uv that does nothing, and fails as `fails` says: by its first words."""

    def __init__(self, data_folder: Path) -> None:
        self.data_folder, self._calls, self._fails = data_folder, data_folder / "calls", data_folder / "fails"
        unfinished = removal.claim(data_folder / "environment.unfinished")
        code = UV.format(python=sys.executable, calls=str(self._calls), fails=str(self._fails))
        wheel = unfinished / "uv.whl"  # as if it had been fetched before
        with zipfile.ZipFile(wheel, "w") as packed:
            packed.writestr("uv-0.data/scripts/uv", code)
        self.published = RemoteFile(wheel.as_uri(), wheel.stat().st_size, digest.sha256(wheel))

    def fails(self, **words: str) -> None:
        self._fails.write_text(json.dumps({name.replace("_", " "): stderr for name, stderr in words.items()}))

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of each call."""
        return [json.loads(line)[1:] for line in self._calls.read_text().splitlines()]

    @property
    def where(self) -> tuple[str, list[str], dict[str, str]]:
        """The folder that it was called in, what was in that, and its environment."""
        folder, names, environment = json.loads(self._calls.with_name("calls where").read_text())
        return folder, names, environment


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setenv("THREER_HOME", str(tmp_path))
    for name in environment.INDEX_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    stand_in = StandIn(tmp_path)
    monkeypatch.setattr(set_up, "UV", {(platform.system(), platform.machine()): stand_in.published})
    return stand_in


def run(messages: list[Message] | None = None) -> None:
    set_up.run(SetUp(["torch"]), MessageReport((messages if messages is not None else []).append))


def test_where_no_python_can_be_fetched_this_one_is_used_and_it_is_said(uv: StandIn) -> None:
    uv.fails(python=NO_PYTHON, pip=NO_TORCH)
    messages: list[Message] = []
    with pytest.raises(UserError):
        run(messages)
    python = platform.python_version()
    text = f"Python 3.13 could not be downloaded, so this one is used ({python}); set up again if it goes away with an"
    assert Notice(f"{text} update.") in messages
    assert [words[0] for words in uv.calls] == ["python", "venv", "pip"]
    assert sys.executable in uv.calls[1]


@pytest.mark.parametrize(
    ("printed", "sentence"),
    [
        (
            NO_TORCH,
            "download.pytorch.org cannot be reached (failed to lookup address information: Name or service not known); "
            "check the connection and set up again.",
        ),
        (
            NO_VERSION,
            "The packages cannot be had here: No solution found when resolving dependencies: Because there is no "
            "version of torch==2.13.0 and you require torch==2.13.0, we can conclude that your requirements are "
            "unsatisfiable.",
        ),
    ],
    ids=["no connection", "no such version"],
)
def test_what_uv_fails_with_is_one_sentence(uv: StandIn, printed: str, sentence: str) -> None:
    uv.fails(pip=printed)
    with pytest.raises(UserError) as failed:
        run()
    assert str(failed.value) == sentence
    assert not (uv.data_folder / "environment").exists()


@pytest.mark.parametrize(
    ("cuda", "card", "user_index", "backend"),
    [
        (hardware.Cuda(580, 7.5), True, "", "cu130"),
        (hardware.Cuda(591, 12.0), True, "", "cu130"),
        (hardware.Cuda(591, 6.1), True, "", "cu126"),  # which CUDA 13 has left behind
        (hardware.Cuda(550, 8.6), True, "", "cu126"),
        (hardware.Cuda(470, 3.5), True, "", "auto"),
        (None, True, "", "auto"),  # AMD's
        (None, False, "", "cpu"),
        (hardware.Cuda(580, 7.5), True, "https://packages.studio.example/simple", None),
    ],
)
@pytest.mark.skipif(sys.platform == "darwin", reason="torch has one build for it")
def test_torch_is_chosen_by_the_hardware_unless_the_user_has_an_index(
    uv: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    cuda: hardware.Cuda | None,
    card: bool,
    user_index: str,
    backend: str | None,
) -> None:
    monkeypatch.setattr(hardware, "cuda", lambda: cuda)
    monkeypatch.setattr(hardware, "graphics_cards", lambda: (hardware.Card("a card", 8 << 30, 8 << 30),) * card)
    if user_index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", user_index)
    uv.fails(pip=NO_TORCH)
    with pytest.raises(UserError):
        run()
    compiling = uv.calls[-1]
    assert compiling[:2] == ["pip", "compile"]
    chosen = compiling[compiling.index("--torch-backend") + 1] if "--torch-backend" in compiling else None
    assert chosen == backend


def test_uv_hears_nothing_of_the_users_configuration_but_what_is_documented(
    uv: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    (hostile / "uv.toml").write_text('extra-index-url = ["https://evil.example"]')
    monkeypatch.chdir(hostile)
    meant = {"UV_INDEX": "https://packages.studio.example/simple"}
    unmeant = ("UV_CONFIG_FILE", "UV_EXTRA_INDEX_URL", "UV_INSECURE_HOST", "PIP_INDEX_URL", "PYTHONPATH", "PYTHONHOME")
    for name in (*meant, *unmeant):
        monkeypatch.setenv(name, meant.get(name, "https://evil.example"))
    uv.fails(pip=NO_TORCH)
    with pytest.raises(UserError):
        run()
    folder, names, given = uv.where
    assert names == []
    assert Path(folder) == tmp_path / "environment.unfinished" / "working folder"
    assert meant.items() <= given.items()
    assert not set(unmeant) & set(given)
    assert "evil" not in json.dumps(given)


@pytest.mark.usefixtures("uv")
def test_a_uv_that_is_not_the_published_one_is_never_started(tmp_path: Path) -> None:
    """Somebody else could have written to the folder."""
    wheel = tmp_path / "environment.unfinished" / "uv.whl"
    with zipfile.ZipFile(wheel, "a") as packed:
        packed.writestr("more", "x")
    with pytest.raises(UserError):
        run()
    assert not (tmp_path / "calls").exists()


GOOD = min(environment.locked()["numpy", "2.4.6"])
TORCH = min(environment.locked()["torch", "2.13.0+cpu"])
PYPI, TORCH_INDEX = "https://files.pythonhosted.org/numpy.whl", "https://download.pytorch.org/whl/torch.whl"
CHECKED = [
    ("numpy", "2.4.6", GOOD, PYPI, "", "listed"),
    ("numpy", "2.4.6", "0" * 64, PYPI, "", "refused"),
    ("numpy", "2.4.6", GOOD[:-1] + ("0" if GOOD[-1] != "0" else "1"), PYPI, "", "refused"),
    ("numpy", "2.4.7", GOOD, PYPI, "", "refused"),
    ("numpy", "2.4.6", GOOD, "https://mirror.studio.example/numpy.whl", "UV_INDEX", "listed"),
    ("numpy", "2.4.6", "0" * 64, "https://mirror.studio.example/numpy.whl", "UV_INDEX", "refused"),
    ("evil", "1.0", "0" * 64, PYPI, "", "refused"),
    ("evil", "1.0", "0" * 64, "https://download.pytorch.org/whl/evil.whl", "", "refused"),
    ("torch", "2.13.0+cpu", TORCH, TORCH_INDEX, "", "listed"),
    ("torch", "2.13.0+cpu", "0" * 64, TORCH_INDEX, "", "refused"),
    ("torch", "2.13.0+rocm7.2", "0" * 64, TORCH_INDEX, "", "reported"),
    ("torch", "2.13.0+rocm7.2", "0" * 64, "https://evil.example/torch.whl", "", "refused"),
    ("torch", "2.13.0+rocm7.2", "0" * 64, "https://download.pytorch.org.evil.example/torch.whl", "", "refused"),
    ("torch", "2.13.0+studio", "0" * 64, "https://packages.studio.example/torch.whl", "UV_DEFAULT_INDEX", "reported"),
    ("nvidia-cublas-cu12", "12.6", "0" * 64, TORCH_INDEX, "", "reported"),
    ("nvidia-cublas-cu12", "12.6", "0" * 64, PYPI, "", "refused"),
]


@pytest.mark.parametrize(("name", "version", "sha256", "url", "user_index", "outcome"), CHECKED)
def test_only_what_the_lock_lists_is_installed(
    monkeypatch: pytest.MonkeyPatch, name: str, version: str, sha256: str, url: str, user_index: str, outcome: str
) -> None:
    for variable in environment.INDEX_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    if user_index:
        monkeypatch.setenv(user_index, "https://packages.studio.example/simple")
    messages: list[Message] = []
    wheels = [set_up.Wheel(name, version, RemoteFile(url, 7, sha256))]
    if outcome == "refused":
        with pytest.raises(UserError, match=r"is not the published package; it was not installed\."):
            set_up.check_hashes(wheels, MessageReport(messages.append))
    else:
        set_up.check_hashes(wheels, MessageReport(messages.append))
    assert bool(messages) == (outcome == "reported")


def test_the_lock_lists_every_package_that_is_wanted() -> None:
    known = {f"{name}=={version}" for name, version in environment.locked()}
    assert {*environment.PACKAGES.values(), *environment.PINNED} <= known

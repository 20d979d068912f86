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

from threer_blender.jobs.messages import Message, Notice, SetUp
from threer_blender.model.errors import UserError
from threer_blender.runtime.report import Report
from threer_blender.worker import set_up

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
with open({asked!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
fails = json.load(open({fails!r}))
said = fails.get(sys.argv[1]) or fails.get(" ".join(sys.argv[1:3]))
if said:
    print(said, file=sys.stderr)
    sys.exit(2)
"""


class StandIn:
    """uv that does nothing, and fails as `fails` says: by its first words."""

    def __init__(self, home: Path) -> None:
        self.home, self._asked, self._fails = home, home / "asked", home / "fails"
        unfinished = home / "environment.unfinished"
        unfinished.mkdir()
        code = UV.format(python=sys.executable, asked=str(self._asked), fails=str(self._fails))
        with zipfile.ZipFile(unfinished / "uv.whl", "w") as wheel:  # as if it had been fetched before
            wheel.writestr("uv-0.data/scripts/uv", code)

    def fails(self, **words: str) -> None:
        self._fails.write_text(json.dumps({name.replace("_", " "): said for name, said in words.items()}))

    @property
    def asked(self) -> list[list[str]]:
        return [json.loads(line) for line in self._asked.read_text().splitlines()]


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setenv("THREER_HOME", str(tmp_path))
    for name in set_up.OWN_INDEX:
        monkeypatch.delenv(name, raising=False)
    return StandIn(tmp_path)


def run(said: list[Message] | None = None) -> None:
    set_up.run(SetUp(["torch"]), Report((said if said is not None else []).append))


def test_where_no_python_can_be_fetched_this_one_is_used_and_it_is_said(uv: StandIn) -> None:
    uv.fails(python=NO_PYTHON, pip=NO_TORCH)
    said: list[Message] = []
    with pytest.raises(UserError):
        run(said)
    python = platform.python_version()
    text = f"Python 3.13 could not be downloaded, so this one is used ({python}); set up again if it goes away with an"
    assert Notice(f"{text} update.") in said
    assert [words[0] for words in uv.asked] == ["python", "venv", "pip"]
    assert sys.executable in uv.asked[1]


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
    assert not (uv.home / "environment").exists()


def test_torch_is_chosen_by_the_hardware_unless_the_user_has_an_index(
    uv: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for own, backend in (("", True), ("https://packages.studio.example/simple", False)):
        if own:
            monkeypatch.setenv("UV_DEFAULT_INDEX", own)
        uv.fails(pip=NO_TORCH)
        with pytest.raises(UserError):
            run()
        compiling = uv.asked[-1]
        assert compiling[:2] == ["pip", "compile"]
        assert ("--torch-backend" in compiling) == backend
        if backend:
            assert compiling[compiling.index("--torch-backend") + 1] == "auto"

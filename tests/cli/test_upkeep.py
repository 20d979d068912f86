"""The command line's verbs for weights and the environment, without any network: they print, refuse and delete."""

import json
from pathlib import Path

import pytest

from threer_blender.cli import command_line, exit_status
from threer_blender.engines import registry
from threer_blender.files import removal
from threer_blender.host import environment, store

WEIGHTS = next(weights for engine in registry.engines().values() for weights in engine.weights)


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("THREER_HOME", str(tmp_path))
    monkeypatch.delenv("THREER_WEIGHTS", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hugging face"))
    return tmp_path


def test_terms_come_before_a_download(data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["weights", "download", WEIGHTS.name]) == exit_status.USER
    output = capsys.readouterr().err
    assert WEIGHTS.licence in output
    assert WEIGHTS.terms_url in output
    assert "--accept-licence" in output
    assert not data_folder.joinpath("weights").exists()


def test_list_and_delete(data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command_line.main(["weights", "list"])
    assert f"{WEIGHTS.name}  {WEIGHTS.size / 1e9:.2f} GB  {WEIGHTS.licence}  not here" in capsys.readouterr().out
    file = data_folder / "weights" / WEIGHTS.name
    file.parent.mkdir()
    with file.open("wb") as sparse:
        sparse.truncate(WEIGHTS.size)
    command_line.main(["weights", "list"])
    assert f"{WEIGHTS.licence}  {file}" in capsys.readouterr().out
    assert command_line.main(["weights", "delete", WEIGHTS.name]) == exit_status.USER
    assert "delete it yourself" in capsys.readouterr().err
    store.default().note_download(WEIGHTS, WEIGHTS.sha256)
    command_line.main(["weights", "delete", WEIGHTS.name])
    assert f"{WEIGHTS.size / 1e9:.2f} GB freed" in capsys.readouterr().out
    assert not file.exists()


def test_an_unknown_name_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["weights", "delete", "nonsense"]) == exit_status.USER
    assert WEIGHTS.name in capsys.readouterr().err


def test_info_says_what_is_there(data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command_line.main(["info"])
    output = capsys.readouterr().out
    assert "private environment: none" in output
    assert "GB of memory free" in output
    removal.claim(data_folder / environment.ENVIRONMENT)
    (data_folder / environment.ENVIRONMENT / environment.NOTE).write_text("{}")
    command_line.main(["info", "--json"])
    actual = json.loads(capsys.readouterr().out)
    assert actual["private"] is not None
    assert {engine["id"] for engine in actual["engines"]} == set(registry.engines())
    command_line.main(["environment", "remove"])
    assert not (data_folder / environment.ENVIRONMENT).exists()


def test_a_hash_that_was_kept_is_forgotten(data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unpinned = next(w for engine in registry.engines().values() for w in engine.weights if not w.sha256)
    file = data_folder / "weights" / unpinned.name
    file.parent.mkdir()
    file.write_bytes(b"the first file that was loaded")
    store.default().verify(unpinned, file)
    store.default().note_fits_network(unpinned, file)
    assert store.default().pinned(unpinned)
    command_line.main(["weights", "forget", unpinned.name])
    assert f"{unpinned.name}: its hash is forgotten" in capsys.readouterr().out
    assert store.default().pinned(unpinned) == ""
    command_line.main(["weights", "forget", unpinned.name, WEIGHTS.name])
    assert capsys.readouterr().out.count("no hash was kept") == 2

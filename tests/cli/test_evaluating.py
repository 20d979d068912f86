"""The verb `evaluate`: its page, its numbers, and the exit status of a comparison."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests import kernels
from tests.evaluation import world
from threer_blender import bundle, headless
from threer_blender.cli import command_line, exit_status
from threer_blender.model.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two results, `good` and `bad`, their `truth`, and the user's data folder `home`."""
    made = tmp_path_factory.mktemp("evaluation")
    kernels.share(made / "home")
    (made / "photos").mkdir()
    exact = world.result(made / "photos")
    bundle.write(exact, made / "good")
    bad = world.moved(exact, world.NAMES[1], lambda camera: replace(camera, fx=1.2 * camera.fx))
    bundle.write(bad, made / "bad")
    world.write_truth(made / "truth")
    return made


def run(folder: Path, *arguments: str | Path) -> int:
    return command_line.main(["evaluate", *map(str, arguments)], folder / "home")


def test_a_page_and_its_numbers(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    output = folder / "good.html"
    assert run(folder, folder / "good", "--truth", folder / "truth", "--output", output) == 0
    printed = capfd.readouterr().out
    assert "AUC@5" in printed
    assert printed.endswith(f"written: {output}\nwritten: {folder / 'good.json'}\n")
    numbers = json.loads((folder / "good.json").read_text("utf-8"))
    assert numbers["groups"]["pose"]["measures"]["auc_5"]["value"] == 1
    assert output.read_text("utf-8").startswith("<!DOCTYPE html>")


def test_a_comparison_fails_where_the_second_is_worse(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    truth = ("--truth", folder / "truth")
    assert run(folder, folder / "good", *truth, "--output", folder / "good") == 0
    capfd.readouterr()
    numbers = folder / "good.json"
    assert run(folder, "--compare", numbers, folder / "bad", *truth) == exit_status.WORSE
    assert "worse: focal.largest (Focal length, largest)" in capfd.readouterr().out
    assert run(folder, "--compare", numbers, numbers) == 0
    assert "measures are the same" in capfd.readouterr().out


def test_the_python_call_returns_the_same(folder: Path) -> None:
    evaluation = headless.evaluate(folder / "good", folder / "truth", data_folder=folder / "home")
    assert evaluation.values()["pose.auc_5"].value == 1
    assert not list(folder.glob("evaluation*"))


def test_mistakes(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each one ends with the user's status and one sentence."""
    (folder / "mine.json").write_text("{}")
    (folder / "mine.html").write_text("my own page")
    truth = ("--truth", folder / "truth")
    cases: list[tuple[tuple[str | Path, ...], str]] = [
        ((folder / "good",), "wants the bundle of a result and --truth"),
        ((folder / "photos", *truth), "holds no result"),
        ((folder / "good", "--truth", folder / "gone"), "There is no folder"),
        ((folder / "good", *truth, "--output", folder / "mine"), "is no report of ours"),
        (("--compare", folder / "mine.json", folder / "mine.json"), "is no evaluation"),
        (("--compare", folder / "good", folder / "bad"), "give --truth FOLDER"),
        (("--compare", folder / "gone", folder / "gone"), "There is no evaluation"),
        ((folder / "good", "--compare", folder / "a", folder / "b"), "leave the result and --output out"),
    ]
    for arguments, sentence in cases:
        assert run(folder, *arguments) == exit_status.USER, sentence
        printed = capfd.readouterr().err.splitlines()[-1]
        assert sentence in printed
    with pytest.raises(UserError, match="holds no result"):
        headless.evaluate(folder / "photos", folder / "truth")

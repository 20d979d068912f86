"""Sentences name files as they are, everywhere."""

import ast
import errno
import os
from pathlib import Path

import pytest

from threer_blender.cli import command_line, exit_status
from threer_blender.model.errors import cause, quoted, system_refusal

PACKAGE = Path(__file__).parents[2] / "threer_blender"
# The modules with `!r`: only developers see it, or it shows no path.
TO_DEVELOPERS = {"model/lens.py", "jobs/messages.py", "geometry/__init__.py"}


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (r"C:\Users\me\photos", r"'C:\Users\me\photos'"),
        (r"\\server\share\a b", r"'\\server\share\a b'"),
        ("it's here", '"it\'s here"'),
        ("日本 ünï.jpg", "'日本 ünï.jpg'"),
        ("two\nlines\t\x1b[31m", r"'two\nlines\t\x1b[31m'"),
        ("undecodable \udcff", r"'undecodable \udcff'"),
        ("‮gpj.exe", r"'\u202egpj.exe'"),  # which would show its letters in another order
        ("", "''"),
    ],
)
def test_a_path_is_shown_as_it_is(path: str, sentence: str) -> None:
    assert quoted(path) == sentence
    sentence.encode("utf-8")


def test_no_sentence_shows_a_path_as_python_writes_it() -> None:
    """A sentence that shows a path with `!r` would double the backslashes of Windows."""
    collected = []
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            cut = isinstance(node, ast.FormattedValue) and node.format_spec is not None  # a piece of what a file says
            if isinstance(node, ast.FormattedValue) and node.conversion == ord("r") and not cut:
                collected.append(f"{name}:{node.lineno}")
    assert {each.partition(":")[0] for each in collected} == TO_DEVELOPERS, collected


@pytest.mark.parametrize("code", [errno.EACCES, errno.EBUSY, errno.ENAMETOOLONG, errno.EIO, errno.ETXTBSY, errno.ELOOP])
def test_what_the_system_refuses_is_one_sentence(code: int) -> None:
    error = OSError(code, os.strerror(code), r"C:\photos\a.jpg")
    assert system_refusal(error).startswith(r"'C:\photos\a.jpg' could not be used (")
    assert system_refusal(error).endswith(".")
    assert "\n" not in system_refusal(OSError("x"))


def test_a_cause_says_no_path_again() -> None:
    assert cause(FileNotFoundError(errno.ENOENT, "No such file", "C:\\photos\\a.jpg")) == "No such file"
    assert cause(ValueError("it is cut off")) == "it is cut off"


LONG = "n" * 300
TOO_LONG = [
    ("reconstruct", LONG, "--output", "result"),
    ("reconstruct", f"{LONG}/a.jpg", "--output", "result"),
    ("reconstruct", "/".join(["n" * 200] * 30), "--output", "result"),
    ("reconstruct", "a.jpg", "--output", LONG),
    ("reconstruct", "a.jpg", "--output", f"{LONG}/result"),
    ("reconstruct", "a.jpg", "--output", "/".join(["n" * 200] * 30)),
    ("reconstruct", "a.jpg", "--output", f"{LONG}.blend"),
    ("reconstruct", "a.jpg", "--output", "result", "--engine", "vggt", "--weights", LONG),
    ("cleaning", LONG, "--output", "pictures"),
    ("cleaning", "/".join(["n" * 200] * 30), "--output", "pictures"),
]


@pytest.mark.parametrize("arguments", TOO_LONG, ids=range(len(TOO_LONG)))
def test_a_path_that_is_too_long_ends_in_a_sentence(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THREER_HOME", str(tmp_path / "home"))
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert command_line.main(arguments) == exit_status.USER
    output = capsys.readouterr().err
    assert output.count("\n") == 1
    assert output.endswith(".\n")
    assert {path.name for path in tmp_path.iterdir()} <= {"a.jpg", "home"}

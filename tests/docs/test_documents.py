"""Everything that the documents name exists: links, anchors, files, commands, sessions, options, Python names,
labels."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs import documents
from tests.docs.documents import DOCUMENTS, ROOT
from threer_blender.cli import command_line
from threer_blender.engines import registry

COMMAND = ["python", "-m", "threer_blender"]
IN_BLENDER = ["blender", "-b", "--command", "threer_blender"]
WORKED_EXAMPLE = "turntable"  # the engine that test_adding_an_engine.py makes
EVERY_DOCUMENT = pytest.mark.parametrize("document", DOCUMENTS, ids=documents.name)


@EVERY_DOCUMENT
def test_links(document: Path) -> None:
    """Each relative link leads to a file, and its anchor to a heading there."""
    for link in documents.links(document):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{link}: there is no such file"
        assert target.is_relative_to(ROOT), f"{link}: leads out of the project"
        assert not anchor or anchor in documents.anchors(target), f"{link}: there is no such heading"


@EVERY_DOCUMENT
def test_files(document: Path) -> None:
    """Each path in inline code that begins with a folder of the project exists."""
    folders = ("threer_blender/", "tests/", "docs/", "wheels/")
    for code in documents.inline_code(document):
        if code.startswith(folders) and " " not in code and WORKED_EXAMPLE not in code:
            assert (ROOT / code).exists(), code


def arguments(words: list[str]) -> list[str] | None:
    """The arguments after the program's name in a command of ours; None for another program's."""
    return next((words[len(start) :] for start in (COMMAND, IN_BLENDER) if words[: len(start)] == start), None)


@EVERY_DOCUMENT
def test_commands_of_the_program(document: Path) -> None:
    """The real parser takes each command, the registry takes its engine and options."""
    for words in documents.commands(document):
        given = arguments(words)
        if not given:
            continue
        try:
            parsed = command_line.parser().parse_args(given)
        except SystemExit:
            pytest.fail(f"not a command: {' '.join(words)}")
        if parsed.verb == "reconstruct" and parsed.engine != WORKED_EXAMPLE:
            options = dict(text.split("=", 1) for text in parsed.option)
            registry.engine(parsed.engine).checked_options(options)


def sessions() -> dict[str, ast.FunctionDef]:
    """The noxfile's sessions by name."""
    functions = [
        node for node in ast.parse((ROOT / "noxfile.py").read_text()).body if isinstance(node, ast.FunctionDef)
    ]
    return {node.name: node for node in functions if any("nox.session" in ast.unparse(d) for d in node.decorator_list)}


@EVERY_DOCUMENT
def test_sessions_and_scripts(document: Path) -> None:
    """Each `nox -s NAME` is a session, what follows it exists, and each `python FILE` is a file of ours."""
    for words in documents.commands(document):
        if words[:2] == ["nox", "-s"]:
            assert words[2] in sessions(), " ".join(words)
            follows = words[words.index("--") + 1 :] if "--" in words else []
            if words[2] == "benchmarks" and follows not in ([], ["NAME"]):
                assert (ROOT / "tests" / "benchmarks" / f"{follows[0]}.py").is_file(), " ".join(words)
            if words[2] == "tests":
                assert all((ROOT / path).exists() for path in follows), " ".join(words)
        elif words[0] == "python" and words[1].endswith(".py"):
            assert (ROOT / words[1]).is_file(), " ".join(words)


def test_every_benchmark_has_its_command() -> None:
    commands = list(documents.commands(ROOT / "docs" / "benchmarks.md"))
    names = {path.stem for path in (ROOT / "tests" / "benchmarks").glob("*.py")}
    for name in names:
        if not name.startswith(("_", "test_")):
            assert ["nox", "-s", "benchmarks", "--", name] in commands, f"docs/benchmarks.md leaves out {name}"


def rows(document: Path, header: str) -> Iterator[list[str]]:
    """The cells of each row of the table whose header begins with `header`."""
    lines = document.read_text("utf-8").split(header, 1)[1].splitlines()[2:]
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_options_in_the_table() -> None:
    """Each engine named beside an option has it and takes the value."""
    table = list(rows(ROOT / "docs" / "pipeline.md", "| Option | Engines |"))
    assert table
    for option, engines, _ in table:
        words = re.fullmatch(r"`--option (\w+)=(\S+)`", option)
        assert words is not None, option
        name, value = words.groups()
        for engine in re.findall(r"`(\w+)`", engines):
            registry.engine(engine).checked_options({name: value})


def test_engines_in_the_table() -> None:
    """The table for artists names every engine of the list, with the commercial use that it declares."""
    named: dict[str, str] = {}
    for labels, *_, commercial in rows(ROOT / "docs" / "artists.md", "| Engine | Photos |"):
        named |= dict.fromkeys(labels.split(", "), commercial)
    engines = [engine for engine in registry.engines().values() if engine.group]
    assert set(named) == {engine.label for engine in engines}
    for engine in engines:
        assert named[engine.label].startswith(("yes", "as ") if engine.commercial else "no"), engine.label


@EVERY_DOCUMENT
def test_python_names(document: Path) -> None:
    """Each dotted name of the package is a module, or a name in one."""
    for dotted in set(re.findall(r"\bthreer_blender(?:\.\w+)+", documents.prose(document))):
        if find_spec(dotted.rpartition(".")[0]) is None or find_spec(dotted) is None:
            module, _, attribute = dotted.rpartition(".")
            assert hasattr(importlib.import_module(module), attribute), dotted


@EVERY_DOCUMENT
def test_environment_variables(document: Path) -> None:
    """Each variable of ours is read somewhere in the code."""
    code = "\n".join(path.read_text("utf-8") for folder in ("threer_blender", "tests") for path in python_files(folder))
    for variable in set(re.findall(r"\b(?:THREER_[A-Z]+|PARITY_CASES)\b", document.read_text("utf-8"))):
        assert f'"{variable}"' in code, variable


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def test_labels() -> None:
    """Bold words in the artists' document are labels on the screen."""
    strings = {
        node.value
        for path in python_files("threer_blender")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for document in (ROOT / "docs" / "artists.md", ROOT / "docs" / "matchmove.md"):
        for label in re.findall(r"\*\*([^*]+)\*\*", documents.prose(document)):
            assert " ".join(label.split()) in strings, f"{label!r} is on no screen"


def test_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 150
    assert any(line.strip().startswith("pip install nox && nox -s demo") for line in lines[:12])
    assert any(line.strip().startswith("pip install nox && nox -s tests") for line in lines[:12])


def test_public_names_of_geometry_are_the_modules_themselves() -> None:
    """A program gets the same module from its public place and from its own."""
    from threer_blender.geometry import correspondences, global_alignment
    from threer_blender.geometry.alignment import global_alignment as its_module
    from threer_blender.geometry.correspondences import mutual_nearest  # type: ignore[attr-defined] # made at import
    from threer_blender.geometry.pairs import correspondences as their_module

    assert correspondences is their_module
    assert global_alignment is its_module
    assert mutual_nearest is their_module.mutual_nearest

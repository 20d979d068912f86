"""Paths of another machine are mapped by whole folders, and rules that make no sense are refused."""

from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from threer_blender.farm import path_mapping
from threer_blender.farm.path_mapping import PathRule
from threer_blender.model.errors import UserError

RULES = [
    PathRule(PureWindowsPath("P:\\show"), Path("/mnt/show")),
    PathRule(PurePosixPath("/home/ann"), Path("/mnt/ann")),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p:/Show/plates/a.exr", "/mnt/show/plates/a.exr"),
        ("P:\\show", "/mnt/show"),
        ("P:\\shows\\a.exr", "P:\\shows\\a.exr"),
        ("/home/ann/a.exr", "/mnt/ann/a.exr"),
        ("/home/anna/a.exr", "/home/anna/a.exr"),
        ("plates/a.exr", "plates/a.exr"),
    ],
)
def test_paths(text: str, expected: str) -> None:
    assert path_mapping.mapped(text, RULES) == expected


@pytest.mark.parametrize("text", ["", "[]", '{"path_mapping_rules": [{}]}', '{"path_mapping_rules": 3}'])
def test_rules_without_sense(tmp_path: Path, text: str) -> None:
    (tmp_path / "rules.json").write_text(text)
    with pytest.raises(UserError, match=r"is no file of path mapping rules|is damaged"):
        path_mapping.read(tmp_path / "rules.json")
    with pytest.raises(UserError, match="There is no file"):
        path_mapping.read(tmp_path / "gone.json")

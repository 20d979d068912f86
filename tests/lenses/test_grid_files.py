"""Lens files of lens grids replace one another, and no other file."""

import json
from pathlib import Path

import pytest

from threer_blender.lenses import grid_files
from threer_blender.model.errors import UserError


@pytest.mark.parametrize(
    "text", ["", "[]", '{"lenses": []}', '{"lenses": [3]}', '{"lenses": [{"grid": {}}, {"name": "exported"}]}']
)
def test_a_file_that_no_lens_grid_wrote_stays(text: str, tmp_path: Path) -> None:
    (tmp_path / "lens.json").write_text(text)
    with pytest.raises(UserError, match="is no lens file of lens grids; choose another name"):
        grid_files.write(tmp_path / "lens.json", [{"grid": {}}])
    assert (tmp_path / "lens.json").read_text() == text


def test_an_earlier_one_is_replaced_but_no_link_or_folder(tmp_path: Path) -> None:
    for name in ("first", "second"):
        grid_files.write(tmp_path / "lens.json", [{"name": name, "grid": {}}])
    assert json.loads((tmp_path / "lens.json").read_text())["lenses"][0]["name"] == "second"
    (tmp_path / "link.json").symlink_to(tmp_path / "lens.json")
    (tmp_path / "folder.json").mkdir()
    for name in ("link.json", "folder.json"):
        with pytest.raises(UserError, match="choose another name"):
            grid_files.check_output(tmp_path / name)

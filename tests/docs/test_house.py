"""The picture of the architecture shows the rooms that the code has, in the order of their imports."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from docs import draw_house
from docs.draw_house import Room


def heights(svg: str) -> dict[str, float]:
    """Each room's height in a picture, downwards."""
    texts = ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return {text.text or "": float(text.attrib["y"]) for text in texts if text.get("font-weight") == "bold"}


def test_picture_is_of_this_house() -> None:
    """It shows all rooms and no others, each above those that it imports; else `python docs/draw_house.py` is due."""
    rooms = draw_house.rooms()
    height = heights(draw_house.PICTURE.read_text("utf-8"))
    assert set(height) == set(rooms)
    assert [(room, below) for room in rooms for below in rooms[room].imports if height[room] >= height[below]] == []


def test_it_draws_what_the_imports_say() -> None:
    def room(*imports: str) -> Room:
        return Room("S", "Some room.", frozenset(imports))

    small = {"roof/": room("middle/", "cellar.py"), "middle/": room("cellar.py"), "cellar.py": room()}
    assert draw_house.floors(small) == {"roof/": 2, "middle/": 1, "cellar.py": 0}
    height = heights(draw_house.draw(small))
    assert height["roof/"] < height["middle/"] < height["cellar.py"]
    with pytest.raises(ValueError, match="import each other"):
        draw_house.floors({"a/": room("b/"), "b/": room("a/")})


def test_lines_that_others_imply_are_left_out() -> None:
    imports = {"a/": {"b/", "c/"}, "b/": {"c/"}, "c/": set(), "d/": set(), "e/": set()}
    drawn = draw_house.lines({name: Room("S", "", frozenset(below)) for name, below in imports.items()})
    assert drawn == {("a/", "b/"), ("b/", "c/")}

"""[B] Text in Blender's layouts: sentences on as many lines as they take, counts, sizes and times."""

from __future__ import annotations

import textwrap
from typing import Any

import bpy

CHARACTER = 6.5  # width of a letter in Blender's interface at scale 1, on the average
MARGIN = 58  # what borders and icons take from the sidebar's width at scale 1
BORDER, ICON = 2, 3  # letters that a box takes, and an icon


def sentence(layout: Any, text: str, columns: int, icon: str) -> None:
    """A sentence on as many lines as it takes; Blender's labels have only one."""
    column = layout.column(align=True)
    column.scale_y = 0.85
    for index, line in enumerate(textwrap.wrap(text, columns + ICON if icon == "NONE" else columns)):
        column.label(text=line, icon="BLANK1" if index and icon != "NONE" else icon)


def quiet(layout: Any, text: str) -> None:
    """A label that does not ask for attention."""
    row = layout.row()
    row.active = False
    row.label(text=text)


def columns(context: bpy.types.Context) -> int:
    """How many letters fit on a line of the sidebar."""
    scale = context.preferences.system.ui_scale
    return max(12, int((context.region.width / scale - MARGIN) / CHARACTER))


def count(number: int, noun: str) -> str:
    """A number with its noun: 3 photos, 1 photo."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number: float) -> str:
    """Bytes as a person reads them."""
    return f"{number / 1e6:.1f} MB" if number < 1e9 else f"{number / 1e9:.1f} GB"


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"

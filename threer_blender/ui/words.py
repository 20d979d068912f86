"""[B] Text in Blender's layouts: sentences on as many lines as they take, counts, sizes and times."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import bpy

CHARACTER = 6.5  # pixels: the average width of a letter at Blender's interface scale 1
LONGEST = 200  # letters of a sentence on the panel that stands there whole
MARGIN = 58  # pixels of the sidebar's width that borders and icons take, at scale 1
BORDER, ICON = 2, 3  # widths of a box's border and of an icon, in letters
SHARED_MARGIN = 5  # letters more than half of a line fit on each of two buttons in a row


def sentence(layout: Any, text: str, columns: int, icon: str) -> None:
    """Draws a sentence on as many lines as it takes, each of at most `columns` letters; a label has one line."""
    column = layout.column(align=True)
    column.scale_y = 0.85
    for index, line in enumerate(textwrap.wrap(text, columns + ICON if icon == "NONE" else columns)):
        column.label(text=line, icon="BLANK1" if index and icon != "NONE" else icon)


def fitting(text: str, short: str, columns: int) -> str:
    """The text of a button with an icon: `text` where it fits on a line of so many letters, else `short`."""
    return text if len(text) + ICON <= columns else short


def side_by_side(layout: Any, labels: Sequence[str], columns: int) -> Any:
    """A part of the layout for buttons with icons and these labels: a row where all fit, else one below the other."""
    each = columns // len(labels) + SHARED_MARGIN
    fit = all(len(label) + ICON <= each for label in labels)
    return layout.row(align=True) if fit else layout.column(align=True)


def brief(text: str) -> str:
    """A long text's first sentence without its brackets, and a sign that more follows; a short text whole."""
    if len(text) <= LONGEST:
        return text
    first, dot, rest = re.sub(r" \([^()]*\)", "", text).partition(". ")
    return f"{first}. …" if dot and rest else first


def quiet(layout: Any, text: str) -> None:
    """Draws a greyed-out label."""
    dimmed(layout).label(text=text)


def dimmed(layout: Any) -> Any:
    """A part of the layout in which labels are greyed out."""
    row = layout.row()
    row.active = False
    return row


def columns(context: bpy.types.Context) -> int:
    """The number of letters that fit on a line of the sidebar."""
    scale = context.preferences.system.ui_scale
    return max(12, int((context.region.width / scale - MARGIN) / CHARACTER))


def count(number: int, noun: str) -> str:
    """A number with its noun: 3 photos, 1 photo."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number: float) -> str:
    """A number of bytes as a person reads it: 3.5 MB, 1.2 GB."""
    return f"{number / 1e6:.1f} MB" if number < 1e9 else f"{number / 1e9:.1f} GB"


def duration(seconds: float) -> str:
    """A number of seconds as a person reads it: 42 s, 3 min."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"

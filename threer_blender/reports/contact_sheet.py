"""[S] One HTML page about many shots: of each a picture, its registered photos, error, time, and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from .shot_page import STYLE

GENERATOR = "threer_blender batch"
DONE, FAILED, BUG, WAITING = "done", "failed", "bug", "waiting"  # the states of a shot
MORE_STYLE = ".sheet img { width: 200px; display: block; } .sheet td { vertical-align: top; padding: .4em 1em .4em 0; }"


@dataclass(frozen=True)
class SheetRow:
    """A shot on the page. `state` is one of DONE, FAILED, BUG and WAITING.

    `picture` is a path relative to the page, "" without one. `error` is the mean reprojection error in pixels and
    `seconds` the time it took, each None where it is unknown. `sentence` is the worst that there is to say.
    """

    name: str
    state: str
    picture: str = ""
    registered: int = 0
    chosen: int = 0
    error: float | None = None
    seconds: float | None = None
    sentence: str = ""


def page(rows: Sequence[SheetRow]) -> str:
    """The HTML text of the page."""
    counts = ", ".join(
        f"{sum(row.state == state for row in rows)} {state}"
        for state in (DONE, FAILED, BUG, WAITING)
        if any(row.state == state for row in rows)
    )
    head = "".join(f"<th>{label}</th>" for label in ("", "Shot", "State", "Registered", "Error", "Time", ""))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="{GENERATOR}">'
        f"<title>Shots</title><style>{STYLE}{MORE_STYLE}</style></head>\n<body>\n<h1>Shots</h1>\n"
        f'<p>{counts}</p>\n<table class="sheet"><tr>{head}</tr>\n{"".join(map(_row, rows))}</table></body></html>\n'
    )


def _row(row: SheetRow) -> str:
    picture = f'<img src="{escape(quote(row.picture))}" alt="" loading="lazy">' if row.picture else ""
    cells = [
        picture,
        escape(row.name),
        row.state,
        f"{row.registered} of {row.chosen}" if row.chosen else "",
        "" if row.error is None else f"{row.error:.2f} px",
        "" if row.seconds is None else f"{row.seconds:.0f} s",
        escape(row.sentence),
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>\n"

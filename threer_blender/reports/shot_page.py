"""[S] The report of shots as one self-contained HTML page: numbers, graphs (SVG), and frames to look at."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from ..model.arrays import FloatArray
from ..model.reconstruction import Reconstruction
from .shot_report import GENERATOR, SPREADS, ShotReport, report

WIDTH, HEIGHT = 960, 180  # pixels of a graph
LEFT, BELOW = 52, 22  # pixels of its margins at the left and below
TICKS = 8  # frame numbers along a graph
SOLVED, REASON, ERROR = "Solved", "Why", "Error, median"  # labels of facts
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; color: #222; }
h2 { margin-top: 2.5em; } table { border-collapse: collapse; } td, th { padding: .15em 1em .15em 0; text-align: left; }
svg { width: 100%; height: auto; background: #fafafa; margin: .3em 0 1em; } .quiet { color: #777; }
text { font: 11px system-ui, sans-serif; fill: #666; }
@media (prefers-color-scheme: dark) { body { background: #1c1c1c; color: #ddd; } svg { background: #262626; } }
"""
# Of each graph: its title, and its lines. Of each line: the name of its values in ShotReport, its colour and its label.
GRAPHS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    ("Reprojection error, px", (("p95_error", "#c98a2b", "95th percentile"), ("median_error", "#2f6fb3", "median"))),
    ("Jump at median depth, px", (("jump", "#8a4fb0", "off the way through its neighbours"),)),
    ("Tracks that agree", (("inliers", "#3c8f5a", "tracks"),)),
    ("Share of the picture covered", (("coverage", "#3c8f5a", "share"),)),
    ("Spread of the rotation, degrees", (("rotation_spread", "#a0522d", "solves from other tracks"),)),
    ("Spread of the place, share of the path", (("position_spread", "#a0522d", "solves from other tracks"),)),
)


def page(reconstruction: Reconstruction) -> str:
    """The HTML text of the page about all shots of a reconstruction."""
    parts = [_shot(report(shot, reconstruction.cloud)) for shot in reconstruction.shots]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="{GENERATOR}">'
        f"<title>Camera tracking</title>"
        f"<style>{STYLE}</style></head>\n<body>\n<h1>Camera tracking</h1>\n{''.join(parts)}</body></html>\n"
    )


def _shot(shot: ShotReport) -> str:
    rows = [(label, text) for label, text in facts(shot) if text]
    table = "".join(f"<tr><th>{escape(label)}</th><td>{escape(text)}</td></tr>\n" for label, text in rows)
    graphs = "".join(
        f"<h3>{escape(title)}</h3>\n{_graph(shot, lines)}\n"
        for title, lines in GRAPHS
        if any(np.isfinite(shot.values[name]).any() for name, _, _ in lines)
    )
    marked = "".join(
        f"<tr><td>{number}</td><td>{escape('; '.join(reasons))}</td></tr>\n"
        for number, reasons in shot.suspicious.items()
    )
    listed = f"<table><tr><th>Frame</th><th></th></tr>\n{marked}</table>" if marked else "<p>None.</p>"
    return (
        f"<h2>{escape(shot.name)}</h2>\n<table>{table}</table>\n{graphs}<h3>Frames to look at</h3>\n{listed}\n"
        f"{_spread_table(shot)}"
    )


def spread_text(shot: ShotReport, index: int) -> str:
    """The spread of the frame at this index in words; empty where it has none."""
    place, rotation, focal = (shot.values[name][index] for name in SPREADS)
    if not np.isfinite(rotation):
        return ""
    return f"{place:.3%} of the path, {rotation:.4f}°, {focal:.2%} of the focal length"


def _spread_table(shot: ShotReport) -> str:
    """A table of the spread of each frame; empty where the shot was solved once."""
    values = np.stack([shot.values[name] for name in SPREADS], axis=1)
    rows = "".join(
        f"<tr><td>{number}</td><td>{place:.4%}</td><td>{rotation:.4f}°</td><td>{focal:.3%}</td></tr>\n"
        for number, (place, rotation, focal) in zip(shot.numbers, values, strict=True)
        if np.isfinite(rotation)
    )
    if not rows:
        return ""
    head = "<tr><th>Frame</th><th>Place, of the path</th><th>Rotation</th><th>Focal length</th></tr>"
    return f"<h3>Spread of solves from other tracks</h3>\n<table>{head}\n{rows}</table>\n"


def facts(shot: ShotReport) -> list[tuple[str, str]]:
    """(label, text) of each fact about the whole shot; the text is empty where the fact is unknown."""
    first, last = shot.focal
    worst = "" if shot.worst_frame is None else f"{shot.worst_frame[1]:.2f} px at frame {shot.worst_frame[0]}"
    return [
        (SOLVED, shot.frames),
        ("Move", shot.motion),
        (REASON, shot.motion_reason),
        (ERROR, f"{shot.median:.2f} px" if np.isfinite(shot.median) else ""),
        ("Error, 95th percentile", f"{shot.p95:.2f} px" if np.isfinite(shot.p95) else ""),
        ("Worst frame", worst),
        ("Jitter", f"{shot.jitter:.3f} px at the median depth" if np.isfinite(shot.jitter) else ""),
        ("Focal length", f"{first:.1f} px" if abs(last / first - 1) < 1e-4 else f"{first:.1f} to {last:.1f} px"),
    ]


def _graph(shot: ShotReport, lines: Sequence[tuple[str, str, str]]) -> str:
    """An SVG graph of some values over the frames. Suspicious frames are marked at its lower edge."""
    top = max(float(np.nanmax(shot.values[name])) for name, _, _ in lines if np.isfinite(shot.values[name]).any())
    top = max(1.1 * top, 0.01)
    first, last = int(shot.numbers[0]), int(shot.numbers[-1])

    def x(number: float) -> float:
        return LEFT + (WIDTH - LEFT - 10) * (number - first) / max(1, last - first)

    def y(value: float) -> float:
        return 8 + (HEIGHT - BELOW - 8) * (1 - value / top)

    drawn = [
        f'<line x1="{LEFT}" x2="{WIDTH - 10}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#8884"/>'
        f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        for value in np.linspace(0, top / 1.1, 4)
    ]
    ticks = np.unique(np.linspace(first, last, TICKS).round().astype(int))
    drawn += [f'<text x="{x(tick):.1f}" y="{HEIGHT - 6}" text-anchor="middle">{tick}</text>' for tick in ticks]
    drawn += [
        f'<rect x="{x(number) - 1:.1f}" y="{HEIGHT - BELOW}" width="2" height="6" fill="#d0402f">'
        f"<title>{number}: {escape('; '.join(reasons))}</title></rect>"
        for number, reasons in shot.suspicious.items()
    ]
    for position, (name, colour, label) in enumerate(lines):
        for piece in _pieces(shot.values[name]):
            points = " ".join(f"{x(shot.numbers[i]):.1f},{y(shot.values[name][i]):.1f}" for i in piece)
            drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        drawn.append(f'<text x="{LEFT + 8 + 150 * position}" y="16" style="fill:{colour}">{escape(label)}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(drawn)}</svg>'


def _pieces(values: FloatArray) -> list[list[int]]:
    """The runs of consecutive indices at which `values` are finite."""
    finite = np.flatnonzero(np.isfinite(values))
    if not len(finite):
        return []
    return [run.tolist() for run in np.split(finite, np.flatnonzero(np.diff(finite) > 1) + 1)]

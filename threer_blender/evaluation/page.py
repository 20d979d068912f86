"""[R] The evaluation as one self-contained HTML page: measures, cameras over the truth, errors and depth by photo."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from ..model.arrays import FloatArray
from ..model.similarity import Similarity
from ..reports.shot_page import STYLE
from .evaluate import DEPTH, Judged
from .outcome import GENERATOR, Evaluation, Group, PhotoRow, value_text
from .pairing import Pair
from .pictures import ERROR_COLOURS, MISSING, OUTSIDE, WORST, DepthPictures

SIZE, MARGIN, AHEAD = 460, 26, 16  # pixels: a view of the cameras, its margin, the line along which a camera looks
BAR, ROW, LABELS = 520, 17, 210  # pixels: the longest bar, the height of a photo's row, its name's width
MOST_BARS = 60  # photos in a chart
TRUE, SOLVED, OFF = "#2f6fb3", "#c98a2b", "#c0392b"  # colours
MORE_STYLE = """
.views { display: flex; flex-wrap: wrap; gap: 1em; } .views figure { margin: 0; } .views svg { width: 460px; }
.depth td { padding: .15em .4em .6em 0; vertical-align: top; } .depth img { width: 215px; display: block; }
.key span { display: inline-block; width: 2.2em; height: .9em; vertical-align: middle; } .protocol { color: #777; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
"""


def page(judged: Judged, pictures: Sequence[DepthPictures]) -> str:
    """The HTML text of the page. `pictures` are those of depth, worst photos first."""
    evaluation = judged.evaluation
    facts = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>\n" for k, v in evaluation.facts.items())
    notes = "".join(f"<p>{escape(note)}</p>\n" for note in evaluation.notes)
    parts = [
        f"<table>{facts}</table>\n{notes}",
        _cameras(judged.pairs, judged.true_from_solved),
        "".join(_group(group) for group in evaluation.groups.values()),
        _photos(evaluation),
        _depths(pictures),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="{GENERATOR}">'
        f"<title>Evaluation</title><style>{STYLE}{MORE_STYLE}</style></head>\n<body>\n<h1>Evaluation</h1>\n"
        f"{''.join(parts)}</body></html>\n"
    )


def _group(group: Group) -> str:
    rows = "".join(
        f'<tr><td>{escape(each.label)}</td><td class="number">{escape(value_text(each))}</td></tr>\n'
        for each in group.measures.values()
    )
    return f'<h2>{escape(group.title)}</h2>\n<p class="protocol">{escape(group.protocol)}</p>\n<table>{rows}</table>\n'


# ------------------------------------------------------------------ cameras


def _cameras(pairs: Sequence[Pair], true_from_solved: Similarity | None) -> str:
    """Two views of the cameras in the true world, along the axes in which the true centres extend least."""
    if true_from_solved is None:
        return ""
    true = np.stack([pair.view.world_from_camera for pair in pairs])
    centres = true[:, :3, 3]
    middle = centres.mean(0)
    axes = np.linalg.svd(centres - middle, full_matrices=True)[2]
    solved = np.full_like(true, np.nan)
    for row, pair in enumerate(pairs):
        if pair.camera is not None:
            pose = pair.camera.world_from_camera
            solved[row, :3, :3] = true_from_solved.rotation @ pose[:3, :3]
            solved[row, :3, 3] = true_from_solved.apply(pose[:3, 3])
    views = [_view(pairs, true, solved, middle, axes[[0, k]]) for k in (1, 2)]
    key = (
        f'<p class="key"><span style="background:{TRUE}"></span> true <span style="background:{SOLVED}"></span> '
        f'solved, aligned <span style="background:{OFF}"></span> from one to the other; a line shows where a camera '
        "looks, a ring is an unregistered photo.</p>"
    )
    return f'<h2>Cameras over the truth</h2>\n<div class="views">{"".join(views)}</div>\n{key}\n'


def _view(pairs: Sequence[Pair], true: FloatArray, solved: FloatArray, middle: FloatArray, plane: FloatArray) -> str:
    """An SVG of the poses (N, 4, 4), projected on a plane with the axes (2, 3)."""
    at = {name: (poses[:, :3, 3] - middle) @ plane.T for name, poses in (("true", true), ("solved", solved))}
    ahead = {name: poses[:, :3, 2] @ plane.T for name, poses in (("true", true), ("solved", solved))}
    every = np.concatenate(list(at.values()))
    every = every[np.isfinite(every).all(1)]
    low, high = every.min(0), every.max(0)
    unit = (SIZE - 2 * MARGIN) / max(float((high - low).max()), 1e-9)
    height = round(max(unit * float(high[1] - low[1]) + 2 * MARGIN, SIZE / 4))
    shift = np.array([SIZE, height]) / 2 - unit * (low + high) / 2

    def place(point: FloatArray) -> tuple[float, float]:
        x, y = shift + unit * point
        return round(float(x), 1), round(float(y), 1)

    shapes = []
    for row, pair in enumerate(pairs):
        x, y = place(at["true"][row])
        if pair.camera is None:
            shapes.append(_dot(x, y, 5, f'fill="none" stroke="{TRUE}"', pair.name))
            continue
        u, v = place(at["solved"][row])
        shapes.append(_line(x, y, u, v, OFF, 2))
        for name, colour, radius, (px, py) in (("true", TRUE, 4.5, (x, y)), ("solved", SOLVED, 2.5, (u, v))):
            dx, dy = AHEAD * ahead[name][row]
            shapes.append(_line(px, py, px + dx, py + dy, colour, 1.2))
            shapes.append(_dot(px, py, radius, f'fill="{colour}"', f"{pair.name}, {name}"))
    return f'<figure><svg viewBox="0 0 {SIZE} {height}" role="img">{"".join(shapes)}</svg></figure>'


def _line(x: float, y: float, u: float, v: float, colour: str, width: float) -> str:
    return f'<line x1="{x}" y1="{y}" x2="{u:.1f}" y2="{v:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def _dot(x: float, y: float, radius: float, paint: str, title: str) -> str:
    return f'<circle cx="{x}" cy="{y}" r="{radius}" {paint}><title>{escape(title)}</title></circle>'


# ------------------------------------------------------------------ photos


def _photos(evaluation: Evaluation) -> str:
    """A table of all photos, worst first, and a chart for each of their errors."""
    rows = evaluation.photos
    labels = list(dict.fromkeys(label for row in rows for label in row.errors))
    head = "".join(f"<th>{escape(label)}</th>" for label in ("Photo", *labels))
    body = "".join(
        f"<tr><td>{escape(row.photo)}</td>{''.join(_cell(row, label) for label in labels)}</tr>\n" for row in rows
    )
    charts = "".join(f"<h3>{escape(label)}</h3>\n{_chart(rows, label)}\n" for label in labels)
    return f"<h2>Photos, worst first</h2>\n<table><tr>{head}</tr>\n{body}</table>\n{charts}"


def _cell(row: PhotoRow, label: str) -> str:
    return f'<td class="number">{_error_text(row.errors.get(label)) if row.registered else "unregistered"}</td>'


def _error_text(value: float | None) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{value:.4g}"


def _chart(rows: Sequence[PhotoRow], label: str) -> str:
    """An SVG of bars: one error of all photos, the largest first."""
    values = [(row.photo, value) for row in rows if (value := row.errors.get(label)) is not None and np.isfinite(value)]
    values = sorted(values, key=lambda each: -each[1])[:MOST_BARS]
    largest = max([value for _, value in values] or [0.0]) or 1.0
    bars = "".join(
        f'<text x="{LABELS - 6}" y="{ROW * i + 12}" text-anchor="end">{escape(photo[-32:])}</text>'
        f'<rect x="{LABELS}" y="{ROW * i + 3}" width="{max(BAR * value / largest, 1):.1f}" height="{ROW - 5}" '
        f'fill="{TRUE}"/><text x="{LABELS + BAR * value / largest + 6:.1f}" y="{ROW * i + 12}">{value:.4g}</text>'
        for i, (photo, value) in enumerate(values)
    )
    return f'<svg viewBox="0 0 960 {ROW * len(values) + 6}" role="img">{bars}</svg>'


def _depths(pictures: Sequence[DepthPictures]) -> str:
    if not pictures:
        return ""
    head = "".join(f"<th>{label}</th>" for label in ("Photo", "Solved depth", "True depth", "Error"))
    rows = "".join(
        f"<tr><td>{_image(each.picture, each.photo)}{escape(each.photo)}</td><td>{_image(each.solved, 'solved depth')}"
        f"</td><td>{_image(each.true, 'true depth')}</td><td>{_image(each.error, 'error')}</td></tr>\n"
        for each in pictures
    )
    steps = "".join(f'<span style="background:rgb{colour}"></span>' for colour in ERROR_COLOURS)
    key = (
        f'<p class="key">Error of depth: {steps} from 0 to {WORST:.0%} and more, after one scale for all photos '
        f'({escape(DEPTH)}). <span style="background:rgb{MISSING}"></span> no solved depth '
        f'<span style="background:rgb{OUTSIDE}"></span> no true depth.</p>'
    )
    return f'<h2>Depth, worst photos first</h2>\n{key}\n<table class="depth"><tr>{head}</tr>\n{rows}</table>\n'


def _image(uri: str, title: str) -> str:
    return f'<img src="{uri}" alt="{escape(title)}">' if uri else ""

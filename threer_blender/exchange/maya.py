"""[S] A Maya ASCII scene: cameras, keyed where they move, and points as locators.

Maya's cameras look along -z with y up, in a world with y up. Rotations are in the order xyz, the first about x. Film
backs are in inches, focal lengths in millimetres, and positions in centimetres. Source: Maya's documentation of
`camera` and of the file format.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..model.arrays import FloatArray
from .content import Content, digits, thinned
from .nuke_camera import poses
from .tracks import Track, identifier

SCENE = "cameras.ma"
INCH = 25.4  # mm
MOST_LOCATORS = 1000
EULER_ORDER = "ZYX"  # of the factors, leftmost first: R = Rz Ry Rx, which Maya calls xyz
# Frames a second -> Maya's name.
RATES = {24: "film", 25: "pal", 30: "ntsc", 48: "show", 50: "palf", 60: "ntscf"}
HEAD = """//Maya ASCII 2018 scene
requires maya "2018";
currentUnit -l centimeter -a degree -t {rate};
"""


def write(content: Content, folder: Path) -> list[str]:
    """Writes the scene into `folder`. Where there are more points than MOST_LOCATORS, some are picked evenly."""
    rate = float(content.tracks[0].frame_rate) if content.tracks else 24.0
    named = RATES.get(round(rate)) if abs(rate - round(rate)) < 1e-6 else None
    lines = [HEAD.format(rate=named or f"{rate:g}fps")]
    for number, track in enumerate(content.tracks, start=1):
        lines += _camera(track, identifier(number, track.name))
    picked = 0
    if content.cloud is not None:
        positions = thinned(content.cloud, MOST_LOCATORS)
        picked = len(positions)
        lines.append('createNode transform -n "points";\n')
        for number, position in enumerate(positions):
            lines.append(
                f'createNode transform -n "point{number:04d}" -p "points";\n'
                f'\tsetAttr ".t" -type "double3" {digits(*position)} ;\n'
                f'createNode locator -n "pointShape{number:04d}" -p "point{number:04d}";\n'
            )
    (folder / SCENE).write_text("".join(lines), "ascii")
    if content.cloud is not None and picked < len(content.cloud):
        return [f"{picked:,} of {len(content.cloud):,} points became locators; take the PLY for all of them."]
    return []


def _camera(track: Track, name: str) -> list[str]:
    """The lines of a track's transform and camera, with their keys."""
    positions, rotations = poses(track, EULER_ORDER)
    backs = [track.film_back(number) for number in track.cameras]
    back, camera = backs[0], track.first
    shape = f"{name}Shape"
    lines = [
        f'createNode transform -n "{name}";\n',
        '\tsetAttr ".ro" 0;\n',
        f'\tsetAttr ".t" -type "double3" {digits(*positions[0])} ;\n',
        f'\tsetAttr ".r" -type "double3" {digits(*rotations[0])} ;\n',
        f'createNode camera -n "{shape}" -p "{name}";\n',
        '\tsetAttr -k off ".v";\n',
        '\tsetAttr ".rnd" no;\n',
        f'\tsetAttr ".cap" -type "double2" {digits(back.width / INCH)} {digits(back.height / INCH)} ;\n',
        f'\tsetAttr ".fl" {digits(back.focal)};\n',
        f'\tsetAttr ".hfo" {digits(-back.centre_x / INCH)};\n',
        f'\tsetAttr ".vfo" {digits(-back.centre_y / INCH)};\n',
        '\tsetAttr ".ff" 1;\n',  # the film back's width fills the picture's
        f'\tsetAttr ".lsr" {digits(camera.fy / camera.fx)};\n',
    ]
    channels = [("TL", ".t" + axis, positions[:, column]) for column, axis in enumerate("xyz")]
    channels += [("TA", ".r" + axis, rotations[:, column]) for column, axis in enumerate("xyz")]
    for kind, attribute, values in channels:
        lines += _curve(track, kind, name, attribute, values)
    focal = np.array([each.focal for each in backs])
    return [*lines, *_curve(track, "TU", shape, ".fl", focal)]


def _curve(track: Track, kind: str, owner: str, attribute: str, values: FloatArray) -> list[str]:
    """The lines with the keys of an attribute; none where it does not change."""
    if (values == values[0]).all():
        return []
    name = f"{owner}_{attribute[1:]}"
    keys = " ".join(f"{number} {digits(value)}" for number, value in zip(track.cameras, values, strict=True))
    return [
        f'createNode animCurve{kind} -n "{name}";\n',
        '\tsetAttr ".tan" 2;\n',  # straight from key to key
        '\tsetAttr ".wgt" no;\n',
        f'\tsetAttr -s {len(values)} ".ktv[0:{len(values) - 1}]"  {keys};\n',
        f'connectAttr "{name}.o" "{owner}{attribute}";\n',
    ]

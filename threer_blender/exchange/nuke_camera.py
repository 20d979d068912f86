"""[S] Nuke's cameras: a .nk script with all of them, a .chan for each that moves, and one for all photos.

Nuke's cameras look along -z with y up, in a world with y up. A line of a .chan holds the frame, the position, the
rotation (degrees, here in the order ZXY, Nuke's own) and the vertical angle of view (degrees). Source: Nuke's
documentation, "Importing channel files". A .chan holds no principal point. The script does, as the window's translation
in halves of the film's width.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..model.arrays import FloatArray
from ..model.directions import OPENCV_FROM_OPENGL
from .content import Content, digits
from .tracks import Track, angles, identifier

EULER_ORDER = "YXZ"  # of the factors, leftmost first: R = Ry Rx Rz, which Nuke calls ZXY
OPENGL_AXES = OPENCV_FROM_OPENGL[:3, :3]
SCRIPT, PHOTOS = "cameras.nk", "photos.chan"


def write(content: Content, folder: Path) -> list[str]:
    """Writes the script and the .chan files into `folder`. Returns a sentence where a .chan loses a principal point."""
    nodes = []
    for number, track in enumerate(content.tracks, start=1):
        name = identifier(number, track.name)
        nodes.append(_node(track, name, number))
        if len(track.cameras) > 1:
            (folder / f"{name}.chan").write_text(_chan(track), "ascii")
    stills = [track for track in content.tracks if len(track.cameras) == 1]
    if stills:
        together = Track("photos", {number: track.first for number, track in enumerate(stills, start=1)})
        (folder / PHOTOS).write_text(_chan(together), "ascii")
    (folder / SCRIPT).write_text("".join(nodes), "utf-8")
    is_off_centre = any(
        max(abs(camera.cx - camera.width / 2), abs(camera.cy - camera.height / 2)) > 0.01
        for camera in (track.first for track in content.tracks)
    )
    return ["A .chan holds no principal point off the middle; cameras.nk does."] if is_off_centre else []


def poses(
    track: Track, order: str, camera_axes: FloatArray = OPENCV_FROM_OPENGL[:3, :3]
) -> tuple[FloatArray, FloatArray]:
    """Positions (N, 3) and angles (N, 3) in degrees about x, y and z, for a track's N frames.

    `order` is as in `tracks.angles`. `camera_axes` (3, 3) takes the program's camera axes to ours.
    """
    matrices = np.array([camera.world_from_camera for camera in track.cameras.values()])
    euler_angles = angles(matrices[:, :3, :3] @ camera_axes, order)
    columns = [order.index(axis) for axis in "XYZ"]
    return matrices[:, :3, 3], euler_angles[:, columns]


def _chan(track: Track) -> str:
    """The content of a .chan file: a line for each frame of the track."""
    positions, rotations = poses(track, EULER_ORDER)
    lines = []
    for number, position, rotation, camera in zip(
        track.cameras, positions, rotations, track.cameras.values(), strict=True
    ):
        angle_of_view = np.degrees(2 * np.arctan(camera.height / 2 / camera.fy))
        lines.append("\t".join([str(number), *map(digits, (*position, *rotation, angle_of_view))]))
    return "\n".join(lines) + "\n"


def _node(track: Track, name: str, number: int) -> str:
    """A camera node, its knobs keyed where it moves."""
    positions, rotations = poses(track, EULER_ORDER)
    backs = [track.film_back(frame) for frame in track.cameras]
    translations = np.array([(-2 * back.centre_x / back.width, -2 * back.centre_y / back.width) for back in backs])
    focal = np.array([[back.focal] for back in backs])
    knobs = [
        "inputs 0",
        "rot_order ZXY",
        f"translate {_curves(track, positions)}",
        f"rotate {_curves(track, rotations)}",
        f"focal {_curves(track, focal)}",
        f"haperture {digits(backs[0].width)}",
        f"vaperture {digits(backs[0].height)}",
        f"win_translate {_curves(track, translations)}",
        f"name {name}",
        f'label "{_quoted(track.name)}"',
        f"xpos {120 * number}",
    ]
    return "Camera2 {\n" + "".join(f" {knob}\n" for knob in knobs) + "}\n"


def _curves(track: Track, values: FloatArray) -> str:
    """A knob's value from `values` (N, K), a row for each frame: K numbers where all rows are equal, else K curves."""
    if (values == values[0]).all():
        numbers = digits(*values[0])
        return f"{{{numbers}}}" if values.shape[1] > 1 else numbers
    curves = []
    for column in values.T:
        keys = " ".join(f"x{number} {digits(value)}" for number, value in zip(track.cameras, column, strict=True))
        curves.append(f"{{curve L {keys}}}")
    return "{" + " ".join(curves) + "}"


def _quoted(text: str) -> str:
    """A name for use within quotation marks: letters that mean something to Tcl are escaped."""
    return "".join(f"\\{letter}" if letter in '\\"[]${}' else letter for letter in text)

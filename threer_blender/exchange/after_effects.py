"""[S] An After Effects script: a composition for each shot, and one for the photos, with cameras and points as nulls.

After Effects' axes are ours (x right, y down, z forward), its unit is the pixel, and its zoom is the focal length in
pixels of the composition. A layer's orientation rotates about z first, then y, then x: R = Rx Ry Rz. Its cameras have
their principal point in the middle, so a sentence says by how many pixels the solved one is off.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from .content import Content, digits, thinned
from .nuke_camera import poses
from .tracks import Track

SCRIPT = "cameras.jsx"
EULER_ORDER = "XYZ"  # of the factors, leftmost first: R = Rx Ry Rz
MOST_NULLS = 100  # points in each composition
PHOTOS_SECONDS = 10.0  # how long a composition of photos lasts
HEAD = """// Run in After Effects: File > Scripts > Run Script File.
(function () {
  app.beginUndoGroup("3R cameras");
  function camera(comp, name, frames, first, zooms, places, turns) {
    var layer = comp.layers.addCamera(name, [comp.width / 2, comp.height / 2]);
    layer.autoOrient = AutoOrientType.NO_AUTO_ORIENT;
    var times = [];
    for (var i = 0; i < frames.length; i++) { times.push((frames[i] - first) * comp.frameDuration); }
    if (times.length == 1) {
      layer.property("Position").setValue(places[0]);
      layer.property("Orientation").setValue(turns[0]);
      layer.property("Zoom").setValue(zooms[0]);
    } else {
      layer.property("Position").setValuesAtTimes(times, places);
      layer.property("Orientation").setValuesAtTimes(times, turns);
      layer.property("Zoom").setValuesAtTimes(times, zooms);
    }
  }
  function point(comp, name, place) {
    var layer = comp.layers.addNull();
    layer.name = name; layer.threeDLayer = true; layer.property("Position").setValue(place);
  }
  var comp;
"""
TAIL = """  app.endUndoGroup();
})();
"""


def write(content: Content, folder: Path) -> list[str]:
    """Writes the script into `folder`. Returns a sentence about principal points that are lost, if any are."""
    lines = [HEAD]
    points = np.empty((0, 3)) if content.cloud is None else thinned(content.cloud, MOST_NULLS)
    for group in _compositions(content.tracks):
        first = min(next(iter(track.cameras)) for track in group)
        lines.append(_composition(group, first))
        for track in group:
            positions, rotations = poses(track, EULER_ORDER, np.eye(3))
            zooms = [camera.fx for camera in track.cameras.values()]
            values = (list(track.cameras), first, zooms, positions.tolist(), rotations.tolist())
            lines.append(f"  camera(comp, {_text(track.name)}, {', '.join(json.dumps(each) for each in values)});\n")
        lines += [
            f'  point(comp, "point {number}", {json.dumps([float(value) for value in position])});\n'
            for number, position in enumerate(points)
        ]
    (folder / SCRIPT).write_text("".join([*lines, TAIL]), "ascii")
    lost = max((_offset(track) for track in content.tracks), default=0.0)
    if lost > 0.01:
        return [f"After Effects' cameras have no principal point off the middle: up to {lost:.1f} px of it are lost."]
    return []


def _compositions(tracks: list[Track]) -> list[list[Track]]:
    """The tracks of each composition: one for each moving camera, and one for all photos of a size."""
    groups: dict[object, list[Track]] = {}
    for track in tracks:
        is_moving = len(track.cameras) > 1
        groups.setdefault(track.name if is_moving else (track.first.width, track.first.height), []).append(track)
    return list(groups.values())


def _composition(group: list[Track], first: int) -> str:
    """The script's lines that make the composition of a group of tracks, from the frame `first` on."""
    camera, rate = group[0].first, float(group[0].frame_rate)
    is_moving = len(group[0].cameras) > 1
    name = group[0].name if is_moving else f"photos {camera.width} x {camera.height}"
    seconds = (max(group[0].cameras) - first + 1) / rate if is_moving else PHOTOS_SECONDS
    size = f"{camera.width}, {camera.height}, {digits(camera.fy / camera.fx)}, {digits(seconds)}, {digits(rate)}"
    start = f"  comp.displayStartTime = {digits(first / rate)};\n" if is_moving else ""
    return f"  comp = app.project.items.addComp({_text(name)}, {size});\n{start}"


def _offset(track: Track) -> float:
    """How far a track's principal point is from the picture's middle, in pixels."""
    camera = track.first
    return float(np.hypot(camera.cx - camera.width / 2, camera.cy - camera.height / 2))


def _text(name: str) -> str:
    """A name as JavaScript's literal."""
    return json.dumps(name)  # letters beyond ASCII are escaped, as JavaScript reads them

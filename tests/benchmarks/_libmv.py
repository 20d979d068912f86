"""[B] Blender's own camera tracking (libmv) on a plate, as an artist would use it: prints its cameras as JSON.

python _libmv.py PLATE KIND PIXEL_ASPECT

Features are detected anew every few frames and tracked to the end. Tracks with a large error are deleted, and the rest
is solved again. The focal length is unknown: it begins as the plate's width and is refined. This needs the bpy module,
in which a clip editor exists without a window on the screen.
"""

import json
import sys
from pathlib import Path

import bpy
import numpy as np

EVERY = 25  # frames
THRESHOLD = 0.01  # of a feature's strength, on libmv's scale
DISTANCE = 32  # px between two features, at least
MARGIN = 16  # px between a feature and the picture's edge, at least
WORST = 2.0  # px: an artist deletes a track with a larger mean error


class ClipEditor:
    """A clip editor with one clip, in which operators run."""

    def __init__(self, plate: Path) -> None:
        bpy.ops.wm.read_factory_settings()
        self._window = bpy.context.window_manager.windows[0]
        self._area = self._window.screen.areas[0]
        self._area.type = "CLIP_EDITOR"
        self.clip = bpy.data.movieclips.load(str(plate))
        self._area.spaces.active.clip = self.clip
        scene = bpy.context.scene
        scene.frame_start, scene.frame_end = 1, self.clip.frame_duration

    def run(self, operator: str, **settings: object) -> set[str]:
        region = next(region for region in self._area.regions if region.type == "WINDOW")
        space = self._area.spaces.active
        with bpy.context.temp_override(window=self._window, area=self._area, region=region, space_data=space):
            done: set[str] = getattr(bpy.ops.clip, operator)(**settings)
            return done


def track(editor: ClipEditor) -> None:
    """Tracks through the whole clip."""
    for frame in range(1, editor.clip.frame_duration, EVERY):
        bpy.context.scene.frame_set(frame)
        editor.run("select_all", action="DESELECT")
        editor.run("detect_features", placement="FRAME", margin=MARGIN, threshold=THRESHOLD, min_distance=DISTANCE)
        editor.run("track_markers", backwards=False, sequence=True)


def solve(editor: ClipEditor, tripod: bool) -> None:
    """Solves twice: the second time without the tracks that the first could not explain."""
    settings = editor.clip.tracking.settings
    settings.use_tripod_solver, settings.use_keyframe_selection = tripod, not tripod
    settings.refine_intrinsics_focal_length = True
    settings.refine_intrinsics_radial_distortion = True
    editor.run("solve_camera")
    editor.run("clean_tracks", frames=0, error=WORST, action="DELETE_TRACK")
    editor.run("solve_camera")


def main() -> None:
    plate, kind, aspect = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    editor = ClipEditor(plate)
    camera = editor.clip.tracking.camera
    width, height = editor.clip.size
    camera.pixel_aspect, camera.units, camera.focal_length_pixels = aspect, "PIXELS", width
    track(editor)
    solve(editor, tripod=kind in ("nodal", "zoom"))
    result = editor.clip.tracking.objects[0].reconstruction
    cameras = {}
    for each in result.cameras:
        fx, (cx, cy) = camera.focal_length_pixels, camera.principal_point_pixels
        cameras[each.frame] = {
            "width": width,
            "height": height,
            "fx": fx,
            "fy": fx * aspect,
            "cx": cx,
            "cy": height - cy,
            "distortion": {"model": "RADIAL", "params": [camera.k1, camera.k2]},
            "world_from_camera": (np.array(each.matrix) @ np.diag([1.0, -1.0, -1.0, 1.0])).tolist(),
            "median_error": each.average_error,
        }
    print("\n" + json.dumps({"cameras": cameras, "average_error": result.average_error}))


if __name__ == "__main__":
    main()

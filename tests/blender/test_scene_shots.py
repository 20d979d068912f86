"""A video in the scene: one camera that moves as the filming one did, frame by frame, before the video."""

from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
import pytest

from threer_blender.lens import Distortion
from threer_blender.reconstruction import Photo, Shot
from threer_blender.scene import build, cameras, shots

from .conftest import camera, looking_at, reconstruct
from .test_scene_projection import POINTS, blender_pixels

SIZE = (320, 240)
FRAMES = {  # frame 4 is unknown
    number: camera(
        f"clip.mp4 {number:04d}", *SIZE, 300, cx=155, pose=looking_at((2 - number / 3, -1.5, -4.0), roll=50 * number)
    )
    for number in (2, 3, 5, 6, 7)
}


@pytest.fixture
def film(tmp_path):
    """The file: 9 grey frames."""
    av = pytest.importorskip("av")
    path = tmp_path / "filmed" / "clip.mp4"
    path.parent.mkdir()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for grey in range(9):
            picture = np.full((SIZE[1], SIZE[0], 3), 20 * grey, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def filmed(film):
    """A reconstruction of two frames of the video, and the camera of five of them."""
    photos = [Photo(FRAMES[n].photo, str(film), *SIZE, sha256=f"{n:064x}", frame=n) for n in (2, 6)]
    shot = Shot("clip.mp4", str(film), 29.97, 9, FRAMES)
    return reconstruct(photos, [FRAMES[2], FRAMES[6]], step=4, shots=[shot])


def moving(root):
    (shown,) = (child for child in root.children if cameras.FRAMES in child)
    return shown


def pixel_errors(root, frames):
    """Pixels between Blender's and the Reconstruction's projection, at each frame."""
    scene = bpy.context.scene
    for number, solved in frames.items():
        scene.frame_set(number)
        points = POINTS[(POINTS - solved.world_from_camera[:3, 3]) @ solved.world_from_camera[:3, 2] > 0.5]
        yield np.abs(blender_pixels(scene, root, moving(root), points) - solved.project(points)).max()


def test_the_camera_is_right_at_every_known_frame(filmed, tmp_path):
    root = build.build(filmed, tmp_path)
    assert max(pixel_errors(root, FRAMES)) < 0.01
    assert {shown.name for shown in build.solved_cameras(root)} == {"clip.mp4 0002", "clip.mp4 0006"}
    assert moving(root).name == "clip.mp4"
    assert root.name == "3R clip"


def test_an_unknown_frame_lies_between_its_neighbours(filmed, tmp_path):
    """The short way round, whatever the signs of the quaternions."""
    root = build.build(filmed, tmp_path)
    bpy.context.scene.frame_set(4)
    forward = np.array(moving(root).matrix_basis)[:3, 2]
    before, after = (-FRAMES[n].world_from_camera[:3, 2] for n in (3, 5))
    middle = np.array(shots.axes.camera_matrix(FRAMES[3]))[:3, 2], np.array(shots.axes.camera_matrix(FRAMES[5]))[:3, 2]
    assert forward @ (middle[0] + middle[1]) / np.linalg.norm(middle[0] + middle[1]) > 0.999
    assert before @ after > 0.9


def test_an_empty_scene_gets_the_videos_frames(filmed, tmp_path):
    root = build.build(filmed, tmp_path)
    scene = bpy.context.scene
    assert scene.camera == moving(root)
    assert (scene.frame_start, scene.frame_end) == (1, 9)
    assert scene.render.fps / scene.render.fps_base == pytest.approx(29.97)
    assert (scene.render.resolution_x, scene.render.resolution_y) == SIZE


def test_a_used_scene_keeps_its_frames_until_asked(filmed, tmp_path):
    scene = bpy.context.scene
    scene.collection.objects.link(bpy.data.objects.new("artist's", None))
    scene.frame_end = 77
    root = build.build(filmed, tmp_path)
    assert scene.frame_end == 77
    cameras.use_camera(scene, moving(root))
    assert scene.frame_end == 9


def test_the_video_stands_behind_with_its_lens(filmed, film, tmp_path):
    lens = Distortion("RADIAL", (-0.1, 0.02))
    bent = replace(filmed.shots[0], cameras={n: replace(c, distortion=lens) for n, c in FRAMES.items()})
    root = build.build(replace(filmed, shots=[bent]), tmp_path)
    (background,) = moving(root).data.background_images
    assert (background.source, background.frame_method) == ("MOVIE_CLIP", "FIT")
    assert Path(bpy.path.abspath(background.clip.filepath)) == film
    assert background.clip_user.use_render_undistorted
    tracked = background.clip.tracking.camera
    assert (tracked.distortion_model, tracked.k3) == ("POLYNOMIAL", 0)
    assert (tracked.k1, tracked.k2) == pytest.approx((-0.1, 0.02))
    assert tracked.focal_length_pixels == pytest.approx(300)
    assert tuple(tracked.principal_point_pixels) == pytest.approx((155, 120))


def test_a_lens_that_changes_is_keyed(filmed, tmp_path):
    zoomed = {n: replace(c, fx=300 + 10 * n, fy=300 + 10 * n) for n, c in FRAMES.items()}
    root = build.build(replace(filmed, shots=[replace(filmed.shots[0], cameras=zoomed)]), tmp_path)
    assert max(pixel_errors(root, zoomed)) < 0.01


def test_a_second_solve_moves_the_same_camera_anew(filmed, tmp_path):
    root = build.build(filmed, tmp_path)
    first, actions = moving(root), len(bpy.data.actions)
    shifted = {
        n: replace(c, world_from_camera=looking_at((n / 2, -1.0, -3.0)), fx=310 + n, fy=310 + n)
        for n, c in FRAMES.items()
    }
    assert build.build(replace(filmed, shots=[replace(filmed.shots[0], cameras=shifted)]), tmp_path) == root
    assert moving(root) == first
    assert max(pixel_errors(root, shifted)) < 0.01
    assert len(first.data.background_images) == len(bpy.data.movieclips) == 1
    build.build(filmed, tmp_path)
    assert max(pixel_errors(root, FRAMES)) < 0.01
    assert len(bpy.data.actions) == actions


def test_a_failure_leaves_the_earlier_movement(filmed, tmp_path, monkeypatch):
    root = build.build(filmed, tmp_path)
    shifted = {n: replace(c, world_from_camera=looking_at((n / 2, -1.0, -3.0))) for n, c in FRAMES.items()}
    monkeypatch.setattr(build, "_describe", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build.build(replace(filmed, shots=[replace(filmed.shots[0], cameras=shifted)]), tmp_path)
    assert max(pixel_errors(root, FRAMES)) < 0.01


def test_reopened(filmed, tmp_path):
    build.build(filmed, tmp_path)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    root = next(placed for placed in bpy.data.objects if placed.name == "3R clip")
    assert max(pixel_errors(root, FRAMES)) < 0.01

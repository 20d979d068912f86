"""A video in the scene: one camera that moves as the filming one did, frame by frame, before the video."""

import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from PIL import Image

from tests.blender.filmed import curves
from tests.blender.world import camera, looking_at, reconstruct
from tests.scene.test_cameras import POINTS, blender_pixels
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Photo, Shot
from threer_blender.scene import axes, build, cameras, shots

SIZE = (320, 240)
FRAMES = {  # frame 4 is unknown
    number: camera(
        f"clip.mp4 {number:04d}", *SIZE, 300, cx=155, pose=looking_at((2 - number / 3, -1.5, -4.0), roll=50 * number)
    )
    for number in (2, 3, 5, 6, 7)
}


@pytest.fixture
def film(tmp_path: Path) -> Any:
    """The file of a video of 9 grey frames."""
    path = tmp_path / "filmed" / "clip.mp4"
    path.parent.mkdir()
    return write_film(path, [np.full((SIZE[1], SIZE[0]), 20 * grey, np.uint8) for grey in range(9)])


def write_film(path: Path, pictures: Any) -> Any:
    """Writes grey pictures (H, W) as a video. Returns its path."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"qp": "1"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for picture in pictures:
            colour = np.repeat(picture[:, :, None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(colour, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def filmed(film: Any) -> Any:
    """A reconstruction of two frames of the video, and the camera of five of them."""
    photos = [Photo(FRAMES[n].photo, str(film), *SIZE, sha256=f"{n:064x}", frame=n) for n in (2, 6)]
    shot = Shot("clip.mp4", str(film), Fraction(30000, 1001), 9, FRAMES)
    return reconstruct(photos, [FRAMES[2], FRAMES[6]], step=4, shots=[shot])


def moving(root: bpy.types.Object) -> Any:
    (obj,) = (child for child in root.children if cameras.FRAMES in child)
    return obj


def pixel_errors(root: Any, frames: Any) -> Iterator[Any]:
    """Pixels between Blender's and the Reconstruction's projection, at each frame."""
    scene = bpy.context.scene
    for number, solved in frames.items():
        scene.frame_set(number)
        points = POINTS[(POINTS - solved.world_from_camera[:3, 3]) @ solved.world_from_camera[:3, 2] > 0.5]
        yield np.abs(blender_pixels(scene, root, moving(root), points) - solved.project(points)).max()


def test_the_camera_is_right_at_every_known_frame(filmed: Any, tmp_path: Path) -> None:
    root = build.build(filmed, tmp_path)
    assert max(pixel_errors(root, FRAMES)) < 0.01
    assert {obj.name for obj in build.solved_cameras(root)} == {"clip.mp4 0002", "clip.mp4 0006"}
    assert moving(root).name == "clip.mp4"
    assert root.name == "3R clip"


def test_an_unknown_frame_lies_between_its_neighbours(filmed: Any, tmp_path: Path) -> None:
    """The camera turns the short way round, whatever the signs of the quaternions."""
    root = build.build(filmed, tmp_path)
    bpy.context.scene.frame_set(4)
    forward = np.array(moving(root).matrix_basis)[:3, 2]
    middle = np.array(axes.camera_matrix(FRAMES[3]))[:3, 2], np.array(axes.camera_matrix(FRAMES[5]))[:3, 2]
    assert forward @ (middle[0] + middle[1]) / np.linalg.norm(middle[0] + middle[1]) > 0.999


def test_an_empty_scene_gets_the_videos_frames(filmed: Any, tmp_path: Path) -> None:
    root = build.build(filmed, tmp_path)
    scene = bpy.context.scene
    assert scene.camera == moving(root)
    assert (scene.frame_start, scene.frame_end) == (1, 9)
    assert scene.render.fps / scene.render.fps_base == pytest.approx(29.97)
    assert (scene.render.resolution_x, scene.render.resolution_y) == SIZE


def test_a_used_scene_keeps_its_frames_until_asked(filmed: Any, tmp_path: Path) -> None:
    scene = bpy.context.scene
    scene.collection.objects.link(bpy.data.objects.new("artist's", None))
    scene.frame_end = 77
    root = build.build(filmed, tmp_path)
    assert scene.frame_end == 77
    cameras.use_camera(scene, moving(root))
    assert scene.frame_end == 9


def test_the_video_stands_behind_with_its_lens(filmed: Any, film: Any, tmp_path: Path) -> None:
    lens = Distortion("RADIAL", (-0.1, 0.02))
    distorted = replace(filmed.shots[0], cameras={n: replace(c, distortion=lens) for n, c in FRAMES.items()})
    root = build.build(replace(filmed, shots=[distorted]), tmp_path)
    (background,) = moving(root).data.background_images
    assert (background.source, background.frame_method) == ("MOVIE_CLIP", "FIT")
    assert Path(bpy.path.abspath(background.clip.filepath)) == film
    assert background.clip_user.use_render_undistorted
    tracked = background.clip.tracking.camera
    assert (tracked.distortion_model, tracked.k3) == ("POLYNOMIAL", 0)
    assert (tracked.k1, tracked.k2) == pytest.approx((-0.1, 0.02))
    assert tracked.focal_length_pixels == pytest.approx(300)
    assert tuple(tracked.principal_point_pixels) == pytest.approx((155, 120))


def test_a_phone_held_upright(film: Any, tmp_path: Path) -> None:
    """The frames lie on their side in the file. Its track says how to turn them (ISO 14496-12, tkhd)."""
    content = bytearray(film.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    clockwise = [0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000]
    content[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in clockwise)
    film.write_bytes(content)
    upright = {n: replace(c, width=SIZE[1], height=SIZE[0], cx=c.cy, cy=c.cx) for n, c in FRAMES.items()}
    photo = Photo(FRAMES[2].photo, str(film), SIZE[1], SIZE[0], sha256=f"{2:064x}", frame=2)
    shot = Shot("clip.mp4", str(film), Fraction(30), 9, upright)
    root = build.build(reconstruct([photo], [upright[2]], step=4, shots=[shot]), tmp_path)
    (background,) = moving(root).data.background_images
    assert tuple(background.clip.size) == tuple(reversed(SIZE))
    assert max(pixel_errors(root, upright)) < 0.01


def test_a_lens_that_changes_is_keyed(filmed: Any, tmp_path: Path) -> None:
    zoomed = {n: replace(c, fx=300 + 10 * n, fy=300 + 10 * n) for n, c in FRAMES.items()}
    root = build.build(replace(filmed, shots=[replace(filmed.shots[0], cameras=zoomed)]), tmp_path)
    assert max(pixel_errors(root, zoomed)) < 0.01


def test_a_camera_that_only_turns_has_keys_for_its_rotation_alone(filmed: Any, tmp_path: Path) -> None:
    still = {number: replace(each, world_from_camera=each.world_from_camera.copy()) for number, each in FRAMES.items()}
    for each in still.values():
        each.world_from_camera[:3, 3] = (1.0, 2.0, 3.0)
    turning = replace(filmed, shots=[replace(filmed.shots[0], cameras=still, motion="nodal")])
    camera = moving(build.build(turning, tmp_path / "bundle"))
    assert {curve.data_path for curve in curves(camera)} == {"rotation_quaternion"}
    places = []
    for number in still:
        bpy.context.scene.frame_set(number)
        places.append(tuple(camera.location))
    assert len(set(places)) == 1


def test_a_second_solve_moves_the_same_camera_anew(filmed: Any, tmp_path: Path) -> None:
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


def test_a_failure_leaves_the_earlier_movement(filmed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = build.build(filmed, tmp_path)
    shifted = {n: replace(c, world_from_camera=looking_at((n / 2, -1.0, -3.0))) for n, c in FRAMES.items()}
    monkeypatch.setattr(build, "describe", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build.build(replace(filmed, shots=[replace(filmed.shots[0], cameras=shifted)]), tmp_path)
    assert max(pixel_errors(root, FRAMES)) < 0.01


def test_reopened(filmed: Any, tmp_path: Path) -> None:
    build.build(filmed, tmp_path)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    root = next(obj for obj in bpy.data.objects if obj.name == "3R clip")
    assert max(pixel_errors(root, FRAMES)) < 0.01


DISTORTED = [
    ("SIMPLE_RADIAL", (-0.2,)),
    ("RADIAL", (-0.25, 0.08)),
    ("OPENCV", (-0.2, 0.05, 0.01, -0.02)),
    ("BROWN", (-0.2, 0.05, -0.01, 0.002, 0.01, -0.02)),
    ("DIVISION", (-0.25,)),  # Blender's Brown stands in, as for the next
    ("TDE_RADIAL_4", (0.67, 0.1, 1e-3, 2e-3, 0.02, 0.0, 0.0, 0.0, 0.0)),
]


@pytest.mark.parametrize(("model", "parameters"), DISTORTED, ids=[model for model, _ in DISTORTED])
def test_what_blender_undistorts_lies_where_the_camera_sees_it(tmp_path: Path, model: Any, parameters: Any) -> None:
    """A clip shows dots where a distorting lens with oblong pixels sees points. Blender undistorts the clip."""
    width, height = SIZE
    ideal = replace(FRAMES[2], fy=330.0, cy=112.0)
    distorted = replace(ideal, distortion=Distortion(model, parameters))
    grid = np.stack(np.meshgrid(np.arange(40, width - 30, 60), np.arange(30, height - 20, 60)), -1).reshape(-1, 2)
    points = ideal.world_from_camera[:3, 3] + 4 * ideal.rays(grid + 0.5) @ ideal.world_from_camera[:3, :3].T
    rows, columns = np.mgrid[:height, :width] + 0.5
    dots = [np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8) for x, y in distorted.project(points)]
    picture = (255 * np.sum(dots, axis=0)).clip(0, 255).astype(np.uint8)
    path = write_film(tmp_path / "distorted.mp4", 3 * [picture])
    photo = Photo(distorted.photo, str(path), *SIZE, sha256=f"{1:064x}", frame=1)
    shot = Shot("distorted.mp4", str(path), Fraction(30), 3, {1: distorted})
    root = build.build(reconstruct([photo], [distorted], step=4, shots=[shot]), tmp_path)
    (background,) = moving(root).data.background_images
    assert background.clip_user.use_render_undistorted
    picture = undistorted(background.clip, tmp_path / "proxies")
    for x, y in ideal.project(points):
        near = picture * (np.hypot(columns - x, rows - y) < 12)
        assert np.hypot((near * columns).sum() / near.sum() - x, (near * rows).sum() / near.sum() - y) < 0.2


def test_a_lens_that_blender_cannot_hold_is_not_undone(filmed: Any, tmp_path: Path) -> None:
    """A background with distortion is better than a wrong one. The clip holds how far off Blender's would be."""
    squeezed = Distortion("TDE_ANAMORPHIC_4", (0.67, 1.0, 0.1, -0.1, *(0.0,) * 9, 1.0, 1.0))
    distorted = replace(filmed.shots[0], cameras={n: replace(c, distortion=squeezed) for n, c in FRAMES.items()})
    root = build.build(replace(filmed, shots=[distorted]), tmp_path)
    (background,) = moving(root).data.background_images
    assert background.clip[shots.LENS_RESIDUAL] > shots.MOST_RESIDUAL
    assert not background.clip_user.use_render_undistorted


def undistorted(clip: Any, folder: Path) -> Any:
    """(H, W): the clip's first frame as Blender undistorts it for a camera's background, kept as a proxy."""
    clip.use_proxy = clip.use_proxy_custom_directory = True
    clip.proxy.directory = str(folder)
    clip.proxy.build_25 = False
    clip.proxy.build_undistorted_100 = True
    clip.proxy.quality = 100
    window = bpy.context.window_manager.windows[0]
    area = window.screen.areas[0]
    area.type = "CLIP_EDITOR"
    area.spaces.active.clip = clip
    with bpy.context.temp_override(window=window, area=area):
        bpy.ops.clip.rebuild_proxy()
        deadline = time.monotonic() + 60
        while len(made := sorted(folder.rglob("*.jpg"))) < clip.frame_duration:  # a thread of Blender's makes them
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with Image.open(made[0]) as picture:
        return np.array(picture.convert("L"), np.float32)

"""Plates and the resampling under them: a plate is, to a fraction of a pixel, what an ideal pinhole camera sees."""

from __future__ import annotations

import zlib  # noqa: F401  (pycolmap brings a zlib of its own; Python's must be loaded first)
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import ExifTags, Image, JpegImagePlugin

from threer_blender.geometry import remap
from threer_blender.model import lens
from threer_blender.model.errors import Cancelled, UserError
from threer_blender.model.lens import NO_DISTORTION, Distortion
from threer_blender.model.reconstruction import Camera, Photo, Reconstruction
from threer_blender.pictures import photos
from threer_blender.worker import plates

BENT = [
    Distortion("SIMPLE_RADIAL", (-0.15,)),
    Distortion("RADIAL", (-0.28, 0.09)),
    Distortion("RADIAL", (0.12, 0.03)),
    Distortion("OPENCV", (-0.25, 0.08, 3e-3, -2e-3)),
    Distortion("OPENCV_FISHEYE", (-0.03, 0.006, -0.003, 0.0005)),
]
WIDTH, HEIGHT = 640, 420


def silent(*_: object) -> None:
    """Hears what the artist would."""


def camera(distortion: Distortion, photo: str = "a.png") -> Camera:
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = turn * np.linalg.det(turn)
    world_from_camera[:3, 3] = (1.0, -2.0, 0.5)
    return Camera(photo, WIDTH, HEIGHT, 520.0, 531.0, 331.3, 201.8, world_from_camera, distortion)


def world(of: Camera, ideal: np.ndarray, depth: np.ndarray | float) -> np.ndarray:
    """World points (..., 3) at ideal, undistorted pixels (..., 2) of a camera."""
    local = replace(of, distortion=NO_DISTORTION).rays(ideal) * np.asarray(depth)[..., None]
    return local @ of.world_from_camera[:3, :3].T + of.world_from_camera[:3, 3]


def centres(width: int, height: int) -> np.ndarray:
    """(H, W, 2) pixel centres."""
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)


def pattern(ideal: np.ndarray) -> np.ndarray:
    """(..., 3) smooth colours, a function of ideal pixels; the shortest period is 20 pixels."""
    x, y = ideal[..., 0], ideal[..., 1]
    waves = [np.sin(x / 7 + 1) * np.cos(y / 11), np.sin(x / 5 - y / 6 + 2), np.cos(y / 4 + x / 23)]
    return 128 + 100 * np.stack(waves, axis=-1)


def taken(of: Camera) -> np.ndarray:
    """The photo of `pattern` that the camera's lens makes, analytically; black where it sees beyond its model."""
    rays = of.rays(centres(WIDTH, HEIGHT))
    seen = pattern(rays[..., :2] * (of.fx, of.fy) + (of.cx, of.cy))
    return np.nan_to_num(seen).round().clip(0, 255).astype(np.uint8)


def covered(of: Camera, ideal: np.ndarray, margin: float) -> np.ndarray:
    """Which ideal pixels the photo shows, `margin` pixels from its edge or more."""
    seen = of.project(world(of, ideal, 1.0))
    inside = (seen > margin) & (seen < np.array([of.width, of.height]) - margin)
    return inside.all(axis=-1)


# The resampling


@pytest.mark.parametrize("distortion", BENT, ids=str)
def test_undistorting_gives_the_ideal_picture(distortion: Distortion) -> None:
    lensed = camera(distortion)
    picture = remap.undistorted(
        taken(lensed), lensed.fx, lensed.fy, lensed.cx, lensed.cy, distortion, lensed.intrinsics, (WIDTH, HEIGHT)
    )
    ideal = centres(WIDTH, HEIGHT)
    error = (picture - pattern(ideal))[covered(lensed, ideal, 2)]
    assert len(error) > 0.6 * WIDTH * HEIGHT
    assert np.abs(error).max() < 4
    assert np.abs(error).mean() < 0.6  # two roundings to 8 bits alone make 0.35
    assert np.abs(error.mean(axis=0)).max() < 0.05


@pytest.mark.parametrize("factor", [0.5, 0.31])
def test_shrinking_while_undistorting_keeps_geometry(factor: float) -> None:
    lensed = camera(BENT[1])
    smaller = lensed.intrinsics * factor
    smaller[2, 2] = 1
    size = (round(WIDTH * factor) - 7, round(HEIGHT * factor) + 5)
    picture = remap.undistorted(
        taken(lensed), lensed.fx, lensed.fy, lensed.cx, lensed.cy, lensed.distortion, smaller, size
    )
    assert picture.shape == (size[1], size[0], 3)
    ideal = centres(*size) / factor
    seen = covered(lensed, ideal, 12)
    # Shrinking dampens waves of 20 to 40 pixels but may not shift them.
    for channel in range(3):
        here, there = picture[seen][:, channel] - 128.0, pattern(ideal)[seen][:, channel] - 128
        assert np.corrcoef(here, there)[0, 1] > 0.998
        step = 0.5 * np.array([1.0, -1.0])
        for axis in range(2):
            slope = (pattern(ideal + step[0] * np.eye(2)[axis]) - pattern(ideal + step[1] * np.eye(2)[axis]))[seen]
            gain = (here @ there) / (there @ there)
            shift = (here - gain * there) @ slope[:, channel] / (slope[:, channel] @ slope[:, channel])
            assert abs(shift) < 0.02  # pixels of the photo


def test_shrinking_does_not_alias() -> None:
    """Stripes too fine for the small picture become their mean instead of wider stripes."""
    stripes = np.zeros((400, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    small = np.array([[125.0, 0, 75], [0, 125, 50], [0, 0, 1]])
    picture = remap.undistorted(stripes, 500.0, 500.0, 300.0, 200.0, BENT[0], small, (150, 100))
    assert np.abs(picture[20:-20, 20:-20].astype(float) - 127.5).max() < 6


def test_nothing_changes_without_a_lens() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    intrinsics = np.array([[90.0, 0, 33.3], [0, 95, 21.1], [0, 0, 1]])
    same = remap.undistorted(picture, 90.0, 95.0, 33.3, 21.1, NO_DISTORTION, intrinsics, (70, 50))
    assert (same == picture).all()
    intrinsics[:2, 2] += (3, -2)
    moved = remap.undistorted(picture, 90.0, 95.0, 33.3, 21.1, NO_DISTORTION, intrinsics, (70, 50))
    assert (moved[:-2, 3:] == picture[2:, :-3]).all()
    assert (moved[:, :3] == 0).all()


def test_beyond_the_fold_of_the_lens_it_is_black() -> None:
    """A wide pinhole view through a lens model that folds over shows the photo once, without a ring of ghosts."""
    distortion = Distortion("RADIAL", (-0.3, 0.0))
    white = np.full((200, 200, 3), 255, np.uint8)
    wide = np.array([[30.0, 0, 150], [0, 30, 150], [0, 0, 1]])
    picture = remap.undistorted(white, 150.0, 150.0, 100.0, 100.0, distortion, wide, (300, 300))
    radius = np.linalg.norm(centres(300, 300) - 150, axis=-1) / 30
    assert (picture[radius > lens.valid_radius(distortion)] == 0).all()
    assert (picture[radius < 0.7] == 255).all()


@pytest.mark.parametrize("distortion", [*BENT, NO_DISTORTION], ids=str)
def test_lens_formulas_are_those_of_colmap(distortion: Distortion) -> None:
    focals = {"SIMPLE_RADIAL": 1, "RADIAL": 1}.get(distortion.model, 2)
    params = [700.0, 700.0][:focals] + [330.0, 210.0, *distortion.params]
    theirs = pycolmap.Camera(model=distortion.model, width=WIDTH, height=HEIGHT, params=params)
    points = np.random.default_rng(2).uniform(-0.55, 0.55, (500, 2))
    ours = Camera("", WIDTH, HEIGHT, 700.0, 700.0, 330.0, 210.0, np.eye(4), distortion)
    homogeneous = np.concatenate([points, np.ones((500, 1))], axis=1)
    pixels = np.array([theirs.img_from_cam(point) for point in homogeneous])
    assert np.abs(ours.project(homogeneous) - pixels).max() < 1e-9
    back = np.array([theirs.cam_from_img(pixel) for pixel in pixels])
    assert np.abs(ours.rays(pixels)[:, :2] - back[:, :2]).max() < 1e-7


# The plates


def spots(found: np.ndarray) -> np.ndarray:
    """(HEIGHT, WIDTH, 3) black picture with a soft white spot of 2 pixels at each place (N, 2)."""
    x, y = np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5
    rows = np.exp(-0.5 * ((y[:, None] - found[:, 1]) / 2.0) ** 2)
    columns = np.exp(-0.5 * ((x[:, None] - found[:, 0]) / 2.0) ** 2)
    total = rows @ columns.T
    return np.repeat((240 * total).round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def centroids(picture: np.ndarray, near: np.ndarray) -> np.ndarray:
    """(N, 2) centre of mass of the light within 9 pixels of each place (N, 2)."""
    pixels, light = centres(picture.shape[1], picture.shape[0]), picture[..., 0].astype(float)
    found = []
    for place in near:
        x, y = np.maximum(place.astype(int) - 10, 0)
        window = np.s_[y : y + 21, x : x + 21]
        weight = light[window] * (np.linalg.norm(pixels[window] - place, axis=-1) < 9)
        weight[weight < 4] = 0  # JPEG's ringing
        found.append((pixels[window] * weight[..., None]).sum(axis=(0, 1)) / weight.sum())
    return np.array(found)


def photographed(path: Path, picture: np.ndarray, orientation: int = 1) -> Photo:
    """Save an upright picture the way a camera that was held like that does, and read it as the artist's photo."""
    stored = np.ascontiguousarray(np.rot90(picture, {1: 0, 3: 2, 6: 1, 8: -1}[orientation]))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {} if path.suffix == ".png" else {"quality": 97}
    Image.fromarray(stored).save(path, exif=exif.tobytes(), **options)
    return photos.read([path], silent).accepted[0]


@pytest.mark.parametrize("distortion", BENT, ids=str)
@pytest.mark.parametrize("orientation", [1, 8])
def test_points_fall_where_the_camera_says(tmp_path: Path, distortion: Distortion, orientation: int) -> None:
    """With its distortion in the photo, without it in the plate: both to 0.05 px."""
    lensed = camera(distortion)
    ideal = np.stack(np.meshgrid(np.linspace(40, 600, 8), np.linspace(40, 380, 6)), axis=-1).reshape(-1, 2)
    ideal += np.random.default_rng(5).uniform(-5, 5, ideal.shape)
    points = world(lensed, ideal, np.random.default_rng(6).uniform(1, 9, len(ideal)))
    points = points[covered(lensed, ideal, 12)]
    in_photo = lensed.project(points)
    in_plate = replace(lensed, distortion=NO_DISTORTION).project(points)
    assert np.linalg.norm(in_photo - in_plate, axis=-1).max() > 4  # the lens really bends
    picture = spots(in_photo)
    photo = photographed(tmp_path / "dots.png", picture, orientation)
    plated = plates.write(lensed, photo, 3, tmp_path / "plates")
    assert replace(plated, plate="") == lensed
    with Image.open(tmp_path / plated.plate) as plate:
        shown = np.asarray(plate)
    assert shown.shape == picture.shape
    assert np.linalg.norm(centroids(photos.pixels(photo), in_photo) - in_photo, axis=-1).max() < 0.05
    assert np.linalg.norm(centroids(shown, in_plate) - in_plate, axis=-1).max() < 0.05


def test_straight_lines_are_straight_in_the_plate(tmp_path: Path) -> None:
    """A soft-edged bright bar between two 3D points near the frame's edge, traced column by column."""
    lensed = camera(BENT[3])
    ends = world(lensed, np.array([[30.0, 30.0], [610.0, 55.0]]), np.array([2.0, 7.0]))
    along = ends[0] + np.linspace(0, 1, 4000)[:, None] * (ends[1] - ends[0])
    traced = lensed.project(along)
    row = np.interp(np.arange(WIDTH) + 0.5, traced[:, 0], traced[:, 1])
    distance = centres(WIDTH, HEIGHT)[..., 1] - row
    bar = (240 * np.exp(-0.5 * (distance / 2.0) ** 2)).round().astype(np.uint8)
    photo = photographed(tmp_path / "bar.png", np.repeat(bar[..., None], 3, axis=-1))

    def bow(picture: np.ndarray) -> float:
        """The largest distance of the bar's middle from the straight line that fits it best."""
        light = picture[:120, 60:580, 0].astype(float)
        light[light < 20] = 0
        middle = (light * (np.arange(120) + 0.5)[:, None]).sum(axis=0) / light.sum(axis=0)
        columns = np.arange(len(middle))
        return float(np.abs(middle - np.polyval(np.polyfit(columns, middle, 1), columns)).max())

    plated = plates.write(lensed, photo, 0, tmp_path / "plates")
    with Image.open(tmp_path / plated.plate) as plate:
        assert bow(np.asarray(plate)) < 0.1
    assert bow(photos.pixels(photo)) > 3


def test_a_photo_that_blender_shows_as_it_is_needs_no_plate(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.tif"):
        photo = photographed(tmp_path / name, taken(camera(NO_DISTORTION)))
        straight = camera(NO_DISTORTION)
        assert plates.write(straight, photo, 0, tmp_path / "plates") is straight
    assert not (tmp_path / "plates").exists()


@pytest.mark.parametrize(("name", "orientation"), [("a.jpg", 6), ("a.png", 3), ("a.heic", 1), ("a.heic", 8)])
def test_turned_and_foreign_photos_get_a_plate(tmp_path: Path, name: str, orientation: int) -> None:
    picture = taken(camera(NO_DISTORTION))
    path = tmp_path / name
    photo = photographed(path, picture, orientation)
    before = path.read_bytes(), path.stat().st_mtime_ns
    plated = plates.write(camera(NO_DISTORTION), photo, 12, tmp_path / "plates")
    assert plated.plate == "plates/0012_a.jpg"
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    with Image.open(tmp_path / plated.plate) as plate:
        assert (plate.format, plate.mode, plate.size) == ("JPEG", "RGB", (WIDTH, HEIGHT))
        assert not plate.getexif()
        assert "icc_profile" not in plate.info
        assert JpegImagePlugin.get_sampling(plate) == 0  # 4:4:4
        assert np.abs(np.asarray(plate).astype(int) - picture).mean() < 8  # HEIC halves the colour's resolution


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        ("IMG_1.jpg", "0007_IMG_1.jpg"),
        ('two folders/it\'s "new\nline".heic', "0007_it_s_new_line_.jpg"),
        ("写真 é.png", "0007_写真_é.jpg"),
        ("x" * 250 + ".png", "0007_" + "x" * 40 + ".jpg"),
    ],
)
def test_plate_names_are_safe(photo: str, expected: str) -> None:
    assert plates.plate_name(7, photo) == expected


def solved(tmp_path: Path) -> Reconstruction:
    """Three photos, of which the first and the last have a camera: one bent, one not."""
    chosen = [photographed(tmp_path / f"{i}.png", taken(camera(NO_DISTORTION)) // (i + 1)) for i in range(3)]
    cameras = [camera(BENT[0], "2.png"), camera(NO_DISTORTION, "0.png")]
    return Reconstruction("test", "", chosen, cameras)


def test_all_plates_keep_the_cameras_order(tmp_path: Path) -> None:
    folder = tmp_path / "plates"
    plated = plates.write_all(solved(tmp_path), folder, silent)
    assert [(c.photo, c.plate) for c in plated] == [("2.png", "plates/0002_2.jpg"), ("0.png", "")]
    assert [path.name for path in folder.iterdir()] == ["0002_2.jpg"]


def test_cancelling_stops_between_plates(tmp_path: Path) -> None:
    def cancel(done: float, total: float) -> None:
        assert total == 2
        if done == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        plates.write_all(solved(tmp_path), tmp_path / "plates", cancel)
    assert len(list((tmp_path / "plates").iterdir())) == 1


def test_a_disk_or_a_photo_that_fails_is_one_sentence(tmp_path: Path) -> None:
    reconstruction = solved(tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written to"):
        plates.write_all(reconstruction, tmp_path / "file" / "plates", silent)
    (tmp_path / "0.png").unlink()
    with pytest.raises(UserError, match=r"0\.png"):
        plates.write_all(reconstruction, tmp_path / "plates", silent)

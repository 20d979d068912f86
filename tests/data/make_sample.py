"""[B] Renders the sample photos with their true cameras and depth: `python -m tests.data.make_sample`.

Needs bpy and Pillow. Each view is rendered by Cycles as an ideal pinhole picture, finer and wider than the photo, and
then resampled through the exact inverse of the lens. Conventions (see threer_blender/model/reconstruction.py): OpenCV
camera axes; pixels of the photo as displayed; the top-left pixel's centre is (0.5, 0.5); COLMAP's RADIAL lens,

    pixel = focal × (1 + k1 r² + k2 r⁴) × (x/z, y/z) + centre,      r² = (x/z)² + (y/z)².

The formula is written out here on purpose and not imported: these photos are what the package is tested against.
`--preview N` renders N-fold smaller, into another folder, to look at.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Matrix, Vector
from PIL import ExifTags, Image

from tests.data import sample_scene

Array = npt.NDArray[Any]

SENSOR = (1296, 864)  # pixels, as stored: the camera held level
FOCAL = 1068.6  # pixels; EXIF says 30 mm on 36 mm, that is 1080
CENTRE = (652.8, 427.1)  # pixels, as stored
K1, K2 = -0.085, 0.014
EXIF_FOCAL_MM = 30
ROTATED = 6  # EXIF Orientation: shown rotated by 90 degrees clockwise

SUPERSAMPLING = 1.1  # pinhole pixels per photo pixel
SAMPLES = 6
JPEG_BUDGET = 2_480_000  # bytes, all photos together
DEPTH_DIVISOR = 4
METRES_PER_UNIT = 0.0005

OUTPUT = Path(__file__).parent / "sample"


@dataclass(frozen=True)
class View:
    """Where the photographer stood (degrees to the right of -y, metres from the z axis, metres up) and looked."""

    photo: str
    azimuth: float
    distance: float
    height: float
    target: tuple[float, float, float]
    portrait: bool = False
    roll: float = 0.0  # degrees, clockwise

    def world_from_camera(self) -> Array:
        """(4, 4) with OpenCV axes."""
        angle = np.radians(self.azimuth)
        centre = np.array([self.distance * np.sin(angle), -self.distance * np.cos(angle), self.height])
        forward = np.array(self.target) - centre
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, (0, 0, 1))
        right /= np.linalg.norm(right)
        down = np.cross(forward, right)
        cos, sin = np.cos(np.radians(self.roll)), np.sin(np.radians(self.roll))
        pose = np.eye(4)
        pose[:3, :3] = np.stack([cos * right + sin * down, cos * down - sin * right, forward], axis=1)
        pose[:3, 3] = centre
        return pose


VIEWS = (
    View("IMG_2041.jpg", -66.0, 1.12, 0.68, (0.01, 0.01, 0.13), roll=0.8),
    View("IMG_2042.jpg", -53.0, 1.16, 0.75, (-0.02, 0.01, 0.12), roll=-0.6),
    View("IMG_2043.jpg", -39.5, 1.10, 0.62, (0.01, 0.00, 0.14), roll=0.3),
    View("IMG_2045.jpg", -26.0, 1.17, 0.71, (0.00, 0.00, 0.12), roll=-1.1),
    View("IMG_2046.jpg", -13.0, 1.11, 0.82, (0.02, 0.00, 0.11), roll=0.5),
    View("IMG_2047.jpg", 1.0, 1.16, 0.66, (0.01, -0.01, 0.13), roll=-0.2),
    View("IMG_2048.jpg", 11.0, 1.14, 0.80, (0.00, 0.01, 0.15), portrait=True, roll=0.9),
    View("IMG_2050.jpg", 22.0, 1.13, 0.73, (0.01, 0.00, 0.12), roll=-0.7),
    View("IMG_2051.jpg", 36.0, 1.17, 0.63, (-0.01, 0.01, 0.14), roll=0.4),
    View("IMG_2052.jpg", 49.5, 1.10, 0.78, (0.02, 0.01, 0.11), roll=1.2),
    View("IMG_2053.jpg", 63.0, 1.15, 0.69, (0.00, 0.01, 0.13), roll=-0.4),
)


@dataclass(frozen=True)
class Lens:
    """The camera's intrinsics in pixels of the displayed photo."""

    width: int
    height: int
    focal: float
    cx: float
    cy: float

    def pixel_centres(self, width: int, height: int) -> Array:
        """(height, width, 2) photo pixels at the centres of a `width` × `height` raster laid over the photo."""
        x = (np.arange(width) + 0.5) * self.width / width
        y = (np.arange(height) + 0.5) * self.height / height
        return np.stack(np.meshgrid(x, y), axis=-1)

    def undistorted(self, pixels: Array) -> Array:
        """Ideal (x/z, y/z) of distorted `pixels` (..., 2): Newton's method on the radius."""
        distorted = (pixels - (self.cx, self.cy)) / self.focal
        target = np.linalg.norm(distorted, axis=-1, keepdims=True)
        radius = target.copy()
        for _ in range(12):
            square = radius**2
            error = radius * (1 + K1 * square + K2 * square**2) - target
            radius -= error / (1 + 3 * K1 * square + 5 * K2 * square**2)
        ideal: Array = distorted * (radius / np.maximum(target, 1e-12))
        return ideal


def lens_of(view: View, scale: float = 1.0) -> Lens:
    """The one physical camera, held level or on its side; `scale` 0.5 is half the pixels."""
    (width, height), (cx, cy) = SENSOR, CENTRE
    if view.portrait:
        width, height, cx, cy = height, width, height - cy, cx
    return Lens(round(width * scale), round(height * scale), FOCAL * scale, cx * scale, cy * scale)


# ---------------------------------------------------------------------------------------------------- rendering


def prepare_render(scene: bpy.types.Scene) -> bpy.types.Object:
    """Cycles on the CPU with denoising; returns the scene's camera."""
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    render, cycles = scene.render, scene.cycles
    render.engine, cycles.device = "CYCLES", "CPU"
    cycles.samples, cycles.seed = SAMPLES, 1
    cycles.use_adaptive_sampling, cycles.adaptive_threshold = True, 0.02
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 3, 1
    render.use_persistent_data = True
    render.image_settings.file_format, render.image_settings.color_mode = "PNG", "RGB"
    render.image_settings.color_depth, render.image_settings.compression = "16", 0
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
    return camera


def render_pinhole(scene: bpy.types.Scene, camera: bpy.types.Object, view: View, lens: Lens) -> tuple[Array, float]:
    """The view without distortion, principal point in the middle, wide enough for every ray of the photo.

    Returns float32 (H, W, 3) in [0, 1], display-referred, and its focal length in pixels.
    """
    edges = lens.undistorted(lens.pixel_centres(lens.width, lens.height))
    focal = lens.focal * SUPERSAMPLING
    half = np.abs(edges).max(axis=(0, 1)) * focal
    width, height = (2 * int(np.ceil(side)) + 8 for side in half)
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    camera.data.sensor_fit, camera.data.sensor_width = "HORIZONTAL", 36.0
    camera.data.lens = 36.0 * focal / width
    camera.matrix_world = Matrix(view.world_from_camera() @ np.diag([1.0, -1.0, -1.0, 1.0]))
    with tempfile.TemporaryDirectory() as folder:
        render.filepath = str(Path(folder) / "pinhole.png")
        bpy.ops.render.render(write_still=True)
        picture = bpy.data.images.load(render.filepath)
        picture.colorspace_settings.name = "Non-Color"
        pixels = np.empty(width * height * 4, np.float32)
        picture.pixels.foreach_get(pixels)
        bpy.data.images.remove(picture)
    return pixels.reshape(height, width, 4)[::-1, :, :3], focal


def cubic(distance: Array) -> Array:
    """Keys' cubic kernel (a = -1/2), for resampling."""
    t = np.abs(distance)
    near = (1.5 * t - 2.5) * t * t + 1
    far = ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.where(t < 1, near, np.where(t < 2, far, 0.0))


def resample(picture: Array, positions: Array, step: float) -> Array:
    """`picture` (H, W, 3) at `positions` (h, w, 2), centres at .5, which lie about `step` of its pixels apart."""
    reach = int(np.ceil(2 * step))
    base = np.floor(positions - 0.5).astype(int)
    total = np.zeros((*positions.shape[:2], 3))
    weights = np.zeros(positions.shape[:2])
    for dy in range(1 - reach, reach + 1):
        for dx in range(1 - reach, reach + 1):
            tap = base + (dx, dy)
            weight = cubic((tap + 0.5 - positions) / step).prod(axis=-1)
            column, row = tap[..., 0].clip(0, picture.shape[1] - 1), tap[..., 1].clip(0, picture.shape[0] - 1)
            total += weight[..., None] * picture[row, column]
            weights += weight
    return (total / weights[..., None]).clip(0, 1)


def photograph(scene: bpy.types.Scene, camera: bpy.types.Object, view: View, lens: Lens) -> Array:
    """The photo as displayed, (H, W, 3) uint8."""
    pinhole, focal = render_pinhole(scene, camera, view, lens)
    ideal = lens.undistorted(lens.pixel_centres(lens.width, lens.height))
    positions = ideal * focal + np.array([pinhole.shape[1], pinhole.shape[0]]) / 2
    photo: Array = np.round(resample(pinhole, positions, SUPERSAMPLING) * 255).astype(np.uint8)
    return photo


def measure_depth(scene: bpy.types.Scene, view: View, lens: Lens, width: int, height: int) -> Array:
    """(height, width) uint16: camera z by casting the ray of each raster point into the meshes; 0 is none."""
    ideal = lens.undistorted(lens.pixel_centres(width, height)).reshape(-1, 2)
    pose = view.world_from_camera()
    rays = np.concatenate([ideal, np.ones((len(ideal), 1))], axis=1)
    stretch = np.linalg.norm(rays, axis=1)
    directions = (rays / stretch[:, None]) @ pose[:3, :3].T
    origin = Vector(pose[:3, 3])
    graph = bpy.context.evaluated_depsgraph_get()
    depth = np.zeros(len(rays))
    for index, direction in enumerate(directions):
        hit, point, *_ = scene.ray_cast(graph, origin, Vector(direction))
        if hit:
            depth[index] = (point - origin).length / stretch[index]
    stored: Array = np.round(depth / METRES_PER_UNIT).astype(np.uint16).reshape(height, width)
    return stored


# ---------------------------------------------------------------------------------------------------- files


def jpeg(view: View, pixels: Array, minute: int, quality: int) -> bytes:
    """A photo as the camera stores it: always landscape, with EXIF."""
    stored = np.rot90(pixels) if view.portrait else pixels
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "threer", "sample"
    exif[ExifTags.Base.Orientation] = ROTATED if view.portrait else 1
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = f"2026:06:14 10:{minute:02d}:20"
    details[ExifTags.Base.FocalLength] = float(EXIF_FOCAL_MM)
    details[ExifTags.Base.FocalLengthIn35mmFilm] = EXIF_FOCAL_MM
    file = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(stored))
    picture.save(file, "JPEG", quality=quality, optimize=True, progressive=True, exif=exif)
    return file.getvalue()


def write_photos(folder: Path, photos: dict[View, Array]) -> None:
    """Every photo at one quality, the best that fits the budget."""
    for quality in range(92, 60, -1):
        files = [jpeg(view, pixels, minute, quality) for minute, (view, pixels) in enumerate(photos.items())]
        if sum(map(len, files)) <= JPEG_BUDGET:
            break
    else:
        raise RuntimeError("the photos do not fit JPEG_BUDGET at any decent quality")
    print(f"JPEG quality {quality}", flush=True)
    for view, content in zip(photos, files, strict=True):
        (folder / view.photo).write_bytes(content)


def camera_record(view: View, lens: Lens, depth: str) -> dict[str, Any]:
    """One camera of truth.json."""
    return {
        "photo": view.photo,
        "width": lens.width,
        "height": lens.height,
        "fx": lens.focal,
        "fy": lens.focal,
        "cx": round(lens.cx, 6),
        "cy": round(lens.cy, 6),
        "distortion": {"model": "RADIAL", "params": [K1, K2]},
        "world_from_camera": view.world_from_camera().round(12).tolist(),
        "depth": depth,
    }


def write_truth(path: Path, cameras: list[dict[str, Any]]) -> None:
    truth = {
        "about": "True cameras and depth of the sample photos, written by make_sample.py.",
        "units": "metres",
        "world": "z up; the middle of the cloth is the origin",
        "camera": "OpenCV axes (x right, y down, z forward); pixels of the photo as displayed, that is after its EXIF "
        "orientation; the centre of the top-left pixel is (0.5, 0.5); distortion by COLMAP's model name and parameters",
        "depth": {
            "metres_per_unit": METRES_PER_UNIT,
            "none": 0,
            "sampling": "camera z on the ray of one point per pixel, not averaged: depth pixel (row i, column j) of a "
            "w x h depth image is the depth at x = (j + 0.5) * W / w, y = (i + 0.5) * H / h of the W x H displayed, "
            "distorted photo",
        },
        "cameras": cameras,
    }
    path.write_text(json.dumps(truth, indent=1) + "\n")


def make(output: Path, scale: float, only: list[str]) -> None:
    """Render every view into `output`: photos/, depth/ and truth.json."""
    scene = sample_scene.build()
    camera = prepare_render(scene)
    for folder in ("photos", "depth"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    records, photos = [], {}
    for view in VIEWS:
        lens = lens_of(view, scale)
        depth_name = f"depth/{Path(view.photo).stem}.png"
        records.append(camera_record(view, lens, depth_name))
        if only and view.photo not in only:
            continue
        photos[view] = photograph(scene, camera, view, lens)
        depth = measure_depth(scene, view, lens, lens.width // DEPTH_DIVISOR, lens.height // DEPTH_DIVISOR)
        Image.fromarray(depth).save(output / depth_name, optimize=True)
        print(f"{view.photo} done", flush=True)
    write_photos(output / "photos", photos)
    write_truth(output / "truth.json", records)


def main() -> None:
    parser = argparse.ArgumentParser(description="Render the sample photos with their true cameras and depth.")
    parser.add_argument("--preview", type=int, metavar="N", help="N-fold smaller, into --output")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--only", nargs="*", default=[], metavar="PHOTO", help="render these photos only")
    options = parser.parse_args()
    if options.preview and options.output == OUTPUT:
        parser.error("a preview needs its own --output")
    make(options.output, 1 / (options.preview or 1), options.only)


if __name__ == "__main__":
    main()

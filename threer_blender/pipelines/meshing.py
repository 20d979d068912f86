"""[R] One textured mesh of a result: its depth maps, else its points, become a surface, and its photos the texture."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from ..geometry import kd_tree, remap
from ..geometry.features.database import Excluded
from ..geometry.meshes import charts, simplification, surfels, texture, volume
from ..geometry.meshes.texture import Picture, Texels
from ..geometry.meshes.views import DepthView, PinholeView, depth_view
from ..geometry.pointmaps import ideal_picture
from ..model.arrays import Array, BoolArray, Float32Array, UInt8Array
from ..model.engine import ReportStage, Stage
from ..model.errors import UserError
from ..model.proxy_mesh import Mesh
from ..model.reconstruction import Camera, Photo, PointCloud, Reconstruction
from ..model.textured_mesh import TexturedMesh
from ..pictures.photos import pixels

SURFACE, SIMPLIFYING = Stage("surface", "Making the surface", 0.25), Stage("simplifying", "Simplifying", 0.15)
UNWRAPPING = Stage("unwrapping", "Unwrapping", 0.1)
EXPOSURE, TEXTURING = Stage("exposure", "Evening the exposure", 0.15), Stage("texturing", "Painting from photos", 0.35)
STAGES = (SURFACE, SIMPLIFYING, UNWRAPPING, EXPOSURE, TEXTURING)

CELL = 1.0  # size of a cell of the volume, in pixels of the depth maps at their median distance
SMALL = 512  # pixels of the longer side of the photos whose exposure is compared
OCCLUSION = 1024  # pixels of the longer side of the pictures that tell what the mesh hides
BLUR = 0.01  # standard deviation of the coarse band's blur, as a share of the longer side
FINER = 1.5  # pixels of a photo for each texel, at least, where the photo has them
SAMPLES = 5000  # vertices, about, by which a photo's distance from the mesh is measured
JPEG_QUALITY = 95
NO_SURFACE = "No surface came out: the photos show too little of the same things from several sides."
NO_SURFACE_OF_POINTS = "No surface came out: the points are too few or lie too far apart."
NOTHING_VISIBLE = "No photo shows the surface: the result's cameras and its depth contradict each other."


@dataclass(frozen=True)
class MeshSettings:
    """The budgets: `faces`, and `texture` texels along a side."""

    faces: int
    texture: int


def textured_mesh(
    reconstruction: Reconstruction,
    settings: MeshSettings,
    excluded: Excluded,
    report: ReportStage,
    masked: Array | None = None,
) -> TexturedMesh:
    """The mesh of a result. It has holes where no photo shows the surface.

    Without depth maps it is the surface of the result's points, in their colours where no photo is there.
    `excluded(photo, size)` is the mask of a photo, True at pixels that are not used; None without one. `masked` (N, 4)
    are points and 1 for those around which there shall be no surface, else 0. Raises UserError
    where there are neither depth maps nor points, or where a photo whose depth is used is gone, and what `report`
    raises.
    """
    views = depth_views(reconstruction)
    cameras = [camera for camera in reconstruction.cameras if not camera.distortion.is_panorama]
    cloud = None
    if views:
        mesh = surface(views, lambda done, total: report(SURFACE, done, total))
    else:
        cloud = _usable_cloud(reconstruction)
        mesh = surface_of_points(cloud, report)
        cameras = _pictured(reconstruction, cameras)
    if masked is not None:
        mesh = _cut(mesh, masked)
    report(SIMPLIFYING, 0, 1)
    mesh = simplification.proper(simplification.simplified(mesh, settings.faces))
    mesh = simplification.without_small_parts(mesh)
    if not len(mesh.faces):
        raise UserError(NO_SURFACE_OF_POINTS if cloud else NO_SURFACE)
    report(UNWRAPPING, 0, 1)
    pixel_size = _texel_size(cameras, cloud, mesh)
    layout = charts.laid_out(mesh, pixel_size, settings.texture)
    texels = texture.texels(mesh, layout)
    scale = FINER * pixel_size / layout.texel
    painted, there = _painted(reconstruction, cameras, mesh, texels, scale, pixel_size, excluded, report)
    if cloud is not None:
        painted[~there] = _colors_of(cloud, texels.points[~there])
    elif not there.any():
        raise UserError(NOTHING_VISIBLE)
    else:
        painted[~there] = painted[there].mean(axis=0)
    image = texture.filled(painted, texels.numbers, layout.side)
    return TexturedMesh(mesh.vertices, mesh.faces, (layout.corners / layout.side).astype(np.float32), _jpeg(image))


def _cut(mesh: Mesh, masked: Array) -> Mesh:
    """The mesh without the faces next to masked points, as `textured_mesh` says."""
    if not len(mesh.faces):
        return mesh
    away = masked[kd_tree.Tree(masked[:, :3]).nearest(mesh.vertices)[0], 3] > 0
    rest = simplification.used(mesh.vertices, mesh.faces[~away[mesh.faces].any(axis=1)])
    if not len(rest.faces):
        raise UserError("All points of the surface are masked: show some of them.")
    return rest


def _usable_cloud(reconstruction: Reconstruction) -> PointCloud:
    cloud = reconstruction.cloud
    if cloud is None or not len(cloud):
        raise UserError(
            "There are no depth maps and no points to make a mesh of: reconstruct with an engine that has dense depth."
        )
    return cloud


def _pictured(reconstruction: Reconstruction, cameras: list[Camera]) -> list[Camera]:
    """The cameras whose photos are there."""
    paths = {photo.name: Path(photo.path) for photo in reconstruction.photos}
    return [camera for camera in cameras if paths[camera.photo].is_absolute() and paths[camera.photo].is_file()]


def _texel_size(cameras: list[Camera], cloud: PointCloud | None, mesh: Mesh) -> float:
    """The usual size in world units of a photo's pixel on the mesh; where no photo shows it, of the points' spacing."""
    sizes = [size for camera in cameras if (size := _pixel_size(camera, mesh)) is not None]
    if sizes:
        return float(np.median(sizes))
    if cloud is not None:
        return surfels.spacing(cloud.positions) / 2
    raise UserError(NOTHING_VISIBLE)


def _colors_of(cloud: PointCloud, places: Float32Array) -> Float32Array:
    """(N, 3) the colours of the points nearest to `places` (N, 3)."""
    if not len(places):
        return np.empty((0, 3), np.float32)
    colors: Float32Array = cloud.colors[kd_tree.Tree(cloud.positions).nearest(places)[0]].astype(np.float32)
    return colors


def surface_of_points(cloud: PointCloud, report: ReportStage) -> Mesh:
    """The surface of points. Raises what `report` raises."""
    report(SURFACE, 0, 3)
    parts = surfels.surfels(cloud)
    report(SURFACE, 1, 3)
    distances = surfels.distances(parts)
    report(SURFACE, 2, 3)
    return simplification.without_pinholes(simplification.without_small_parts(volume.surface(distances)))


def depth_views(reconstruction: Reconstruction) -> list[DepthView]:
    """The depth maps of a result that have trusted pixels."""
    cameras = {camera.photo: camera for camera in reconstruction.cameras if not camera.distortion.is_panorama}
    maps = [each for each in reconstruction.pointmaps if each.photo in cameras and each.mask.any()]
    return [depth_view(each, cameras[each.photo]) for each in maps]


def surface(views: list[DepthView], report: Callable[[int, int], None]) -> Mesh:
    """The surface of the depth maps. Raises what `report` raises."""
    size = CELL * float(np.median([view.spacing for view in views]))
    whole = simplification.without_small_parts(volume.surface(volume.fused(views, size, report)))
    return simplification.without_pinholes(whole)


def _pixel_size(camera: Camera, mesh: Mesh) -> float | None:
    """The size in world units of a photo's pixel at the median depth of the vertices that it may show; None where it
    shows none."""
    vertices = mesh.vertices[:: max(1, len(mesh.vertices) // SAMPLES)]
    depths, pixels_there = camera.depths(vertices), camera.project(vertices)
    with np.errstate(invalid="ignore"):
        inside = ((pixels_there >= 0) & (pixels_there < (camera.width, camera.height))).all(axis=-1) & (depths > 0)
    return float(np.median(depths[inside]) / camera.fx) if inside.any() else None


def _painted(
    reconstruction: Reconstruction, cameras: list[Camera], mesh: Mesh, texels: Texels, scale: float, pixel_size: float,
    excluded: Excluded, report: ReportStage,
) -> tuple[Float32Array, BoolArray]:  # fmt: skip
    """(N, 3) the colours of the `texels`, and which of them (N,) a photo shows.

    Photos are used at the share `scale` of their size, at most whole.

    `pixel_size` is the usual size of a photo's pixel on the mesh, in world units.
    """
    photos = {photo.name: photo for photo in reconstruction.photos}
    few = _some(texels)
    blend = texture.Blend(len(texels.numbers))
    if not cameras:
        return blend.colors()
    colors, weights = [], []
    for done, camera in enumerate(cameras):
        report(EXPOSURE, done, len(cameras))
        small = _picture(camera, photos[camera.photo], SMALL, excluded)
        depth = texture.depth_of(mesh, small.view)
        share = SMALL / max(camera.width, camera.height)
        weights.append(texture.weights_in(small.view, small.usable, depth, few, share / pixel_size))
        colors.append(texture.colors_in(small.view, small.coarse, few.points))
    gains = texture.gains(np.array(colors), np.array(weights))
    for done, (camera, gain) in enumerate(zip(cameras, gains, strict=True)):
        report(TEXTURING, done, len(cameras))
        long_side = max(SMALL, round(min(1.0, scale) * max(camera.width, camera.height)))
        picture = _picture(camera, photos[camera.photo], long_side, excluded)
        depth = texture.depth_of(mesh, picture.view.scaled(OCCLUSION))
        weights_of_texels = texture.weights_in(
            picture.view, picture.usable, depth, texels, min(1.0, scale) / pixel_size
        )
        blend.add(picture, texels, weights_of_texels, gain)
    return blend.colors()


def _some(texels: Texels) -> Texels:
    """About texture.SAMPLES of the texels, evenly chosen."""
    step = max(1, len(texels.numbers) // texture.SAMPLES)
    return Texels(texels.numbers[::step], texels.points[::step], texels.normals[::step])


def _picture(camera: Camera, photo: Photo, long_side: int, excluded: Excluded) -> Picture:
    """A photo without distortion, with about `long_side` pixels on its longer side.

    Raises UserError where it is gone.
    """
    intrinsics, size = ideal_picture(camera, long_side)
    image = remap.ideal_picture_of(pixels(photo, 2 * long_side), camera, intrinsics, size)
    usable = np.full((size[1], size[0]), True)
    out = excluded(photo, (camera.width, camera.height))
    if out is not None or not camera.distortion.is_identity:
        mask = np.full((camera.height, camera.width), 255, np.uint8) if out is None else 255 * (~out).astype(np.uint8)
        undistorted = remap.ideal_picture_of(np.repeat(mask[..., None], 3, axis=-1), camera, intrinsics, size)
        usable = undistorted[..., 0] >= 250
    blur = ImageFilter.GaussianBlur(BLUR * max(size))
    coarse = np.asarray(Image.fromarray(image).filter(blur))
    return Picture(PinholeView(intrinsics, size, camera.camera_from_world), image, coarse, _shrunk(usable))


def _shrunk(usable: BoolArray) -> BoolArray:
    """The usable pixels all of whose neighbours are usable."""
    padded = np.pad(usable, 1, constant_values=True)
    inner: BoolArray = usable.copy()
    for row in range(3):
        for column in range(3):
            inner &= padded[row : row + usable.shape[0], column : column + usable.shape[1]]
    return inner


def _jpeg(image: UInt8Array) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=JPEG_QUALITY, subsampling="4:4:4")
    return stream.getvalue()

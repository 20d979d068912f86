"""Points are masked by boxes, outlines, photos, cameras, neighbours and cubes; nothing is deleted, exports follow."""

from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.drawn import drawn
from tests.blender.evaluated import evaluated
from tests.blender.extension import imported, part, roots
from tests.blender.world import BALL_CENTRE, BALL_RADIUS, CAMERAS, reconstruct, write_photos
from threer_blender import bundle
from threer_blender.model.reconstruction import Photo

pytest_plugins = ["tests.blender.extension"]


@pytest.fixture
def photos(tmp_path: Path) -> Any:
    return write_photos(tmp_path / "shot", CAMERAS)


@pytest.fixture
def cloud(addon: ModuleType, photos: list[Photo], tmp_path: Path) -> Any:  # noqa: ARG001
    """The cloud of an imported result."""
    return part("scene.several").cloud(imported(photos, tmp_path / "result"))


def visible(cloud: Any) -> int:
    """How many points Blender shows."""
    bpy.context.view_layer.update()
    geometry = evaluated(cloud)
    return len(geometry.pointcloud.attributes["position"].data) if geometry.pointcloud is not None else 0


def local(cloud: Any) -> Any:
    return part("scene.picture_points").local(cloud.data)


def masked(cloud: Any) -> Any:
    return part("scene.masks").masked(cloud)


def camera_of(name: str) -> Any:
    return next(obj for obj in bpy.data.objects if obj.get("threer_photo") == name)


def test_a_crop_box_is_live_and_removable(cloud: Any) -> None:
    whole = visible(cloud)
    assert bpy.ops.threer.crop_box() == {"FINISHED"}
    box = bpy.context.object
    assert box.empty_display_type == "CUBE"
    assert 0.85 * whole < visible(cloud) < whole
    assert visible(cloud) == whole - masked(cloud).sum()
    box.scale *= 0.4
    box.rotation_euler.z += 0.5
    bpy.context.view_layer.update()
    smaller = visible(cloud)
    assert 0 < smaller < 0.5 * whole
    assert smaller == pytest.approx(whole - masked(cloud).sum(), abs=2)  # float32 at the box's sides
    cropping = next(modifier for modifier in cloud.modifiers if modifier.name.startswith("3R Crop"))
    cropping.show_viewport = False
    assert visible(cloud) == whole
    assert not masked(cloud).any()
    cropping.show_viewport = True
    assert bpy.ops.threer.show_points() == {"FINISHED"}
    assert visible(cloud) == whole
    assert len(local(cloud)) == whole


def test_a_box_without_inverse_and_one_that_is_gone_hide_nothing(cloud: Any) -> None:
    whole = visible(cloud)
    bpy.ops.threer.crop_box(outside=True)
    box = bpy.context.object
    assert visible(cloud) < 0.15 * whole
    bpy.data.objects.remove(box)
    assert visible(cloud) == whole
    assert not masked(cloud).any()


def lasso(obj: Any, outline: Any, action: str = "MASK") -> Any:
    """The lasso over a view straight down, 200 × 100 pixels, in which a pixel is 1/10 of Blender's unit."""
    view = np.diag((0.1, 0.2, 1e-3, 1.0))
    corners = [{"name": "", "co": corner} for corner in outline]
    result = bpy.ops.threer.lasso(outline=corners, perspective=view.ravel().tolist(), size=(200, 100), action=action)
    assert obj.data.attributes["masked_selection"].data_type == "BOOLEAN"
    return result


def test_the_lasso_masks_shows_and_isolates(cloud: Any) -> None:
    whole = visible(cloud)
    places = part("scene.picture_points").positions(cloud)
    outline = [(95.2, 40.2), (120.3, 45.1), (110.4, 62.7), (98.8, 57.9)]
    assert lasso(cloud, outline) == {"FINISHED"}
    pixels = (places[:, :2] * (0.1, 0.2) + 1) / 2 * (200, 100)
    inside = np.ones(len(places), bool)
    for start, end in zip(outline, [*outline[1:], outline[0]], strict=True):  # the outline is convex
        edge = np.subtract(end, start)
        inside &= edge[0] * (pixels[:, 1] - start[1]) - edge[1] * (pixels[:, 0] - start[0]) >= 0
    assert inside.sum() > 100
    assert (masked(cloud) != inside).mean() < 0.02  # the outline is drawn on whole pixels
    assert visible(cloud) == whole - masked(cloud).sum()
    lasso(cloud, outline, "SHOW")
    assert visible(cloud) == whole
    lasso(cloud, outline, "ISOLATE")
    assert visible(cloud) == pytest.approx(inside.sum(), rel=0.05)
    with pytest.raises(RuntimeError, match="needs an outline"):
        lasso(cloud, outline[:2])


def test_points_of_a_photo_and_points_seen_from_a_camera(cloud: Any, photos: list[Photo]) -> None:
    owner = np.empty(len(local(cloud)), np.int32)
    cloud.data.attributes["photo"].data.foreach_get("value", owner)
    bpy.context.view_layer.objects.active = camera_of(photos[2].name)
    assert bpy.ops.threer.isolate(by="PHOTO") == {"FINISHED"}
    assert visible(cloud) == (owner == 2).sum()
    bpy.ops.threer.isolate(by="VISIBLE")
    in_view = ~masked(cloud)
    points, camera = local(cloud), CAMERAS[2]
    pixels, depths = camera.project(points), camera.depths(points)
    in_picture = (depths > 0) & (pixels >= 0).all(1) & (pixels < (camera.width, camera.height)).all(1)
    ray = points - camera.world_from_camera[:3, 3]
    # A ray that passes the ball before it reaches its point.
    along = ((BALL_CENTRE - camera.world_from_camera[:3, 3]) * ray).sum(1) / (ray * ray).sum(1)
    miss = np.linalg.norm(camera.world_from_camera[:3, 3] + along[:, None] * ray - BALL_CENTRE, axis=1)
    behind = (miss < 0.9 * BALL_RADIUS) & (along < 0.75)
    front = (owner == 2) & in_picture
    assert not in_view[~in_picture].any()
    assert in_view[behind & in_picture].mean() < 0.05
    assert in_view[front].mean() > 0.95
    bpy.context.view_layer.objects.active = cloud
    bpy.context.scene.camera = None
    with pytest.raises(RuntimeError, match="Select a solved camera"):
        bpy.ops.threer.isolate(by="PHOTO")


def test_points_selected_in_edit_mode(cloud: Any) -> None:
    with pytest.raises(RuntimeError, match="No points are selected"):
        bpy.ops.threer.mask_selected()
    chosen = np.arange(len(local(cloud))) % 3 == 0
    name = ".select_vert" if cloud.type == "MESH" else ".selection"
    attribute = cloud.data.attributes.get(name) or cloud.data.attributes.new(name, "BOOLEAN", "POINT")
    attribute.data.foreach_set("value", chosen)
    bpy.ops.threer.mask_selected()
    assert (masked(cloud) == chosen).all()


def test_masks_survive_an_import_of_the_same_and_another_solve(cloud: Any, photos: list[Photo], tmp_path: Path) -> None:
    bpy.ops.threer.crop_box()
    outline = [(90, 35), (125, 35), (125, 65), (90, 65)]
    lasso(cloud, outline)
    before = masked(cloud)
    bpy.ops.threer.import_result(directory=str(tmp_path / "result"))
    assert (masked(cloud) == before).all()
    other = bundle.write(reconstruct(photos, CAMERAS, step=5), tmp_path / "other")
    bpy.ops.threer.import_result(directory=str(other))
    bpy.context.view_layer.update()
    mask = part("scene.masks").read(cloud.data, "Selection")
    pixels = (part("scene.picture_points").positions(cloud)[:, :2] * (0.1, 0.2) + 1) / 2 * (200, 100)
    inside = ((pixels > (90, 35)) & (pixels < (125, 65))).all(1)
    assert mask[inside].mean() > 0.9
    assert mask[~inside].mean() < 0.05


def test_exports_are_without_masked_points(cloud: Any, tmp_path: Path) -> None:
    lasso(cloud, [(90, 35), (125, 35), (125, 65), (90, 65)])
    folder = tmp_path / "export"
    bpy.ops.threer.export_cameras(directory=str(folder), format_id="ply")
    text = next(folder.rglob("*.ply")).read_bytes()[:400].decode("latin-1")
    assert f"element vertex {(~masked(cloud)).sum()}\n" in text
    picked = part("scene.picking").visible_points(roots()[0])
    assert len(picked) == (~masked(cloud)).sum()


def test_a_mesh_is_cut_where_points_are_masked(cloud: Any) -> None:
    lasso(cloud, [(90, 35), (125, 35), (125, 65), (90, 65)])
    bpy.ops.threer.crop_box()
    mesh = bpy.data.meshes.new("mesh")
    mesh.from_pydata((local(cloud) + 1e-4).tolist(), [], [])
    obj = bpy.data.objects.new("mesh", mesh)
    bpy.context.scene.collection.objects.link(obj)
    obj.parent = roots()[0]
    bpy.context.view_layer.update()
    part("scene.masks").onto(obj, cloud)
    bpy.context.view_layer.update()
    assert (masked(obj) != masked(cloud)).mean() < 0.03
    assert len(evaluated(obj).mesh.vertices) == pytest.approx((~masked(obj)).sum(), abs=2)


@pytest.mark.usefixtures("checkouts_kernels")
def test_floaters_are_previewed_and_then_hidden(cloud: Any) -> None:
    points = local(cloud)
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(points), 60, replace=False)
    points[chosen] += rng.normal(0, 1, (60, 3)) * (1, 0, 1) - (0, 1, 0) * rng.uniform(1.5, 3, (60, 1))
    cloud.data.attributes["position"].data.foreach_set("vector", points.ravel())
    whole = visible(cloud)
    assert bpy.ops.threer.floaters() == {"FINISHED"}
    marked = part("scene.masks").read(cloud.data, "Floaters")
    assert visible(cloud) == whole  # red, and not hidden yet
    assert marked[chosen].mean() > 0.9
    assert marked.sum() < 90
    assert f"{marked.sum()} floaters in red" in drawn("ui.points_panel", "THREER_PT_points")
    bpy.ops.threer.floaters(strength=20.0)  # measured already
    assert part("scene.masks").read(cloud.data, "Floaters").sum() < marked.sum()
    bpy.ops.threer.floaters()
    bpy.ops.threer.floaters_apply(hide=True)
    assert visible(cloud) == whole - marked.sum()
    bpy.ops.threer.floaters_apply(hide=False)
    assert visible(cloud) == whole
    with pytest.raises(RuntimeError, match="No floaters are marked"):
        bpy.ops.threer.floaters_apply(hide=True)


def test_decimation_leaves_one_point_a_cube(cloud: Any) -> None:
    bpy.ops.threer.decimate(side=0.5)
    places = part("scene.picture_points").positions(cloud)
    cubes = len({tuple(cube) for cube in np.floor(places / 0.5).astype(int).tolist()})
    assert visible(cloud) == cubes
    bpy.ops.threer.show_points(layer="Decimation")
    assert visible(cloud) == len(places)
    bpy.ops.threer.decimate()
    assert 0.02 * len(places) < visible(cloud) < 0.5 * len(places)


def test_undo_takes_one_step(cloud: Any) -> None:
    name, whole = cloud.name, visible(cloud)
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.threer.decimate(side=0.5)
    bpy.ops.ed.undo_push(message="decimate")
    bpy.ops.ed.undo()
    again = bpy.data.objects[name]
    assert visible(again) == whole
    assert not any(modifier.name.startswith("3R Mask") for modifier in again.modifiers)


def test_the_panel_offers_the_tools_and_counts(cloud: Any) -> None:
    lasso(cloud, [(90, 35), (125, 35), (125, 65), (90, 65)])
    text = drawn("ui.points_panel", "THREER_PT_points")
    for name in ("crop_box", "lasso", "mask_selected", "isolate", "floaters", "decimate", "split", "show_points"):
        assert f"threer.{name}" in text
    assert f"Selection: {masked(cloud).sum():,} points" in text

"""Two results of the same photos in one scene: compared, coloured by distance, merged by photos and by picked pairs."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from tests.blender.drawn import drawn
from tests.blender.evaluated import evaluated
from tests.blender.extension import part, roots
from tests.blender.world import CAMERAS, looking_at, reconstruct, write_photos
from threer_blender import bundle
from threer_blender.model.reconstruction_transform import transformed

pytest_plugins = ["tests.blender.extension"]
OTHER = np.array(Matrix.Translation((1, 2, 3)) @ Matrix.Rotation(1.2, 4, (0.5, 1, 0)) @ Matrix.Scale(0.3, 4))
FLOOR = [(-1.5, 0, -1), (1.2, 0, -1.5), (0, 0, 1.5)]  # on it, in the world of the reference
LIFTED = 0.25  # of a strip of the second result's floor


@pytest.fixture
def both(addon: ModuleType, tmp_path: Path) -> Any:  # noqa: ARG001
    """The roots of the reference, which the artist has tilted, and of a result in another world.

    The latter has one wrong camera, and a part of its floor is too high.
    """
    photos = write_photos(tmp_path / "shot", CAMERAS)
    first = bundle.write(reconstruct(photos, CAMERAS, step=8), tmp_path / "first")
    wrong = replace(CAMERAS[3], world_from_camera=looking_at((3.6, -1.0, 1.0)))
    second = reconstruct(photos, [*CAMERAS[:3], wrong, *CAMERAS[4:]], step=8)
    true = reconstruct(photos, CAMERAS, step=8)
    assert true.cloud is not None
    positions = true.cloud.positions.copy()
    positions[positions[:, 0] > 2, 1] -= LIFTED
    second = transformed(replace(second, cloud=replace(true.cloud, positions=positions)), OTHER)
    other = bundle.write(second, tmp_path / "second")
    bpy.ops.threer.import_result(directory=str(first))
    (reference,) = roots()
    reference.matrix_world = Matrix.Rotation(0.3, 4, "X") @ reference.matrix_world
    bpy.ops.threer.import_result(directory=str(other), beside=True)
    bpy.context.view_layer.update()
    (result,) = [root for root in roots() if root != reference]
    return reference, result


def places(root: Any) -> Any:
    """(N, 3) the points of a result in Blender's world."""
    cloud = part("scene.several").cloud(root)
    matrix = np.array(cloud.matrix_world)
    return part("scene.picture_points").local(cloud.data) @ matrix[:3, :3].T + matrix[:3, 3]


def picks(points: Any) -> Any:
    return [{"name": "", "co": tuple(map(float, point))} for point in points]


@pytest.mark.usefixtures("checkouts_kernels")
def test_compare_aligns_tables_and_colors(both: Any) -> None:
    reference, result = both
    before = reference.matrix_world.copy()
    assert bpy.ops.threer.compare(reference=reference.name, result=result.name) == {"FINISHED"}
    bpy.context.view_layer.update()
    assert reference.matrix_world == before
    there, here = places(reference), places(result)
    near = np.linalg.norm(here - there, axis=1)
    lifted = near > 0.01
    assert 0.02 < lifted.mean() < 0.4
    assert near[~lifted].max() < 1e-4
    text = bpy.data.texts[f"{result.name} against {reference.name}"].as_string()
    assert text.splitlines()[4].startswith(CAMERAS[3].photo)
    cloud = part("scene.several").cloud(result)
    distance = np.empty(len(here), np.float32)
    cloud.data.attributes["difference"].data.foreach_get("value", distance)
    nearest = np.array([np.linalg.norm(there - point, axis=1).min() for point in here[::50]])
    assert np.allclose(distance[::50], nearest, atol=1e-4)
    # The farthest points are red, the nearest blue; switched off, the photos' colours are back.
    colors = shader_colors(cloud)
    assert colors[distance.argmax(), 0] > 5 * colors[distance.argmax(), 2]
    assert colors[distance.argmin(), 2] > 5 * colors[distance.argmin(), 0]
    part("scene.heat_map").of(cloud).show_viewport = False
    assert not np.allclose(shader_colors(cloud), colors, atol=0.05)
    assert "6 of 7 shared cameras agree" in drawn("ui.several", "THREER_PT_several")
    assert bpy.ops.threer.clear_comparison() == {"FINISHED"}
    assert part("scene.heat_map").of(cloud) is None
    assert "difference" not in cloud.data.attributes
    assert "color" in cloud.data.attributes


def shader_colors(cloud: Any) -> Any:
    """(N, 4) the linear colours that the material takes, of the points that are visible."""
    geometry = evaluated(cloud)
    attribute = geometry.pointcloud.attributes["point_color"]
    colors = np.empty((len(attribute.data), 4), np.float32)
    attribute.data.foreach_get("color", colors.reshape(-1))
    return colors


def test_both_results_have_objects_of_their_own(both: Any, tmp_path: Path) -> None:
    reference, result = both
    build = part("scene.build")
    assert not set(build.solved_cameras(reference)) & set(build.solved_cameras(result))
    bpy.ops.threer.import_result(directory=str(tmp_path / "first"))  # updates the first one
    assert len(roots()) == 2
    assert reference in roots()


def test_merge_by_photos_follows_the_reference(both: Any) -> None:
    reference, result = both
    assert bpy.ops.threer.merge(reference=reference.name, result=result.name) == {"FINISHED"}
    same = np.median(np.linalg.norm(places(result) - places(reference), axis=1))
    assert same < 1e-4
    bpy.context.view_layer.objects.active = reference
    clip = part("scene.build").solved_cameras(result)[0].data.clip_end
    bpy.ops.threer.scale(picks=picks([(0, 0, 0), (1, 0, 0)]), length=4.0)
    bpy.context.view_layer.update()
    assert np.median(np.linalg.norm(places(result) - places(reference), axis=1)) < 1e-3
    assert part("scene.build").solved_cameras(result)[0].data.clip_end == pytest.approx(4 * clip, rel=1e-3)
    with pytest.raises(RuntimeError, match="follows"):
        bpy.ops.threer.merge(reference=result.name, result=reference.name)


def test_merge_by_picked_pairs(both: Any) -> None:
    reference, result = both
    local = part("scene.picture_points").local(part("scene.several").cloud(reference).data)
    chosen = [int(np.linalg.norm(local - point, axis=1).argmin()) for point in FLOOR]
    pairs = np.stack([places(reference)[chosen], places(result)[chosen]], axis=1).reshape(-1, 3)
    with pytest.raises(RuntimeError, match="mirrored"):
        bpy.ops.threer.merge_points(
            reference=reference.name, result=result.name, picks=picks(pairs[[0, 3, 2, 1, 4, 5]])
        )
    with pytest.raises(RuntimeError, match="needs 6 points"):
        bpy.ops.threer.merge_points(reference=reference.name, result=result.name, picks=picks(pairs[:4]))
    line = np.repeat(np.linspace((0, 0, 0), (3, 0, 0), 3), 2, axis=0)
    with pytest.raises(RuntimeError, match="one line"):
        bpy.ops.threer.merge_points(reference=reference.name, result=result.name, picks=picks(line))
    assert result.parent is None
    bpy.ops.threer.merge_points(reference=reference.name, result=result.name, picks=picks(pairs))
    bpy.context.view_layer.update()
    assert result.parent == reference
    assert np.median(np.linalg.norm(places(result) - places(reference), axis=1)) < 1e-3


def test_undo_takes_one_step(both: Any) -> None:
    reference, result = both
    names, matrix = (reference.name, result.name), result.matrix_world.copy()
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.threer.merge(reference=names[0], result=names[1])
    bpy.ops.ed.undo_push(message="merge")
    bpy.ops.ed.undo()
    assert bpy.data.objects[names[1]].parent is None
    assert bpy.data.objects[names[1]].matrix_world == matrix


def test_one_result_alone_cannot_be_compared(addon: ModuleType, tmp_path: Path) -> None:  # noqa: ARG001
    photos = write_photos(tmp_path / "shot", CAMERAS)
    folder = bundle.write(reconstruct(photos, CAMERAS, step=8), tmp_path / "first")
    bpy.ops.threer.import_result(directory=str(folder), beside=True)
    assert not part("ui.several").THREER_OT_compare.poll(bpy.context)
    assert "Two results can be compared" in drawn("ui.several", "THREER_PT_several")

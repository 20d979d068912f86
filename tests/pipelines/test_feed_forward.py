"""Engines for many photos at once run as a whole, with stand-ins for their networks.

Their results are the cameras and the surface of the world that the stand-ins know.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from threer_blender.model.arrays import Array

pytest.importorskip("torch", reason="the engines' networks need torch")
import torch

from tests import oracle
from tests.engines.stand_ins import ENGINES, UNIT, StandIn, World, map_anything_stand_in, world
from threer_blender.engines import options as shared_options
from threer_blender.engines import registry
from threer_blender.geometry.features import retrieval
from threer_blender.jobs.messages import Message, Preview, Progress
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Reconstruction
from threer_blender.model.similarity import procrustes
from threer_blender.networks import checkpoints, map_anything, vggt, vggt_omega
from threer_blender.pictures import photos
from threer_blender.pipelines import feed_forward
from threer_blender.runtime import device, weights
from threer_blender.runtime.report import MessageReport

LANDSCAPE, PORTRAIT = (480, 640), (640, 480)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Reconstruction]:
    """A function that runs an engine on a world, with a stand-in for its network. `memory` is the card's, in bytes."""

    def reconstruct(
        engine: str,
        known: World,
        memory: int = 2**40,
        refine: str = "off",
        masks: str = "",
        send: Callable[[MessageReport, Message], None] = lambda _report, _message: None,
    ) -> Reconstruction:
        stand_in = ENGINES[engine](known)
        monkeypatch.setattr(weights, "locate", lambda _weights: Path())
        monkeypatch.setattr(checkpoints, "read", lambda _path: {})
        monkeypatch.setattr(checkpoints, "load", lambda _build, _tensors, _rename: stand_in)
        card = device.Device(torch.device("cpu"), torch.float32, "This card", memory)
        monkeypatch.setattr(feed_forward, "choose", lambda: card)
        actual = photos.read(known.paths, lambda text, _photo: pytest.fail(text)).accepted
        options = registry.engine(engine).checked_options({"refine": refine, "masks": masks})
        report = MessageReport(lambda message: send(report, message))
        return registry.reconstruct_of(engine)(actual, options, report)

    return reconstruct


def check_cameras(result: Reconstruction, known: World, angle: float = 0.1, place: float = 0.005) -> None:
    """Asserts that cameras are the world's: focal lengths within 0.5 %, rotations within `angle` degrees.

    Camera centres lie within `place` of the true ones, as a share of the extent of all of them; for one or two cameras
    they are not checked.
    """
    assert [camera.photo for camera in result.cameras] == [path.name for path in known.paths]
    for camera, view in zip(result.cameras, known.views, strict=True):
        assert (camera.height, camera.width) == view.depth.shape
        assert camera.fx == pytest.approx(view.focal, rel=0.005)
        assert camera.fy == pytest.approx(view.focal, rel=0.005)
        assert camera.cx == pytest.approx(camera.width / 2, abs=1.5)
        assert camera.cy == pytest.approx(camera.height / 2, abs=1.5)
    ours = np.stack([camera.world_from_camera for camera in result.cameras])
    truth = np.stack([view.world_from_camera for view in known.views])
    first = ours[0, :3, :3] @ truth[0, :3, :3].T
    for mine, true in zip(ours, truth, strict=True):
        cosine = (np.trace((first @ true[:3, :3]).T @ mine[:3, :3]) - 1) / 2
        assert np.degrees(np.arccos(min(1.0, cosine))) < angle
    if len(ours) > 2:
        moved = procrustes(ours[:, :3, 3], truth[:, :3, 3], np.ones(len(ours)))
        error = np.linalg.norm(moved.apply(ours[:, :3, 3]) - truth[:, :3, 3], axis=1)
        assert error.max() < place * np.ptp(truth[:, :3, 3], axis=0).max()


def check_depth(result: Reconstruction, known: World) -> None:
    """Asserts that trusted points lie where their pixels see the room, and that doubtful ones are not trusted."""
    for pointmap, camera, view in zip(result.pointmaps, result.cameras, known.views, strict=True):
        assert 0.3 < pointmap.mask.mean() < 0.81  # the stand-ins doubt the upper fifth of each picture
        pixels = pointmap.photo_pixels()[pointmap.mask]
        assert (pixels > 0).all()
        assert (pixels < (camera.width, camera.height)).all()
        # A point is at its own pixel, and as deep as the room is there, in the result's unit.
        assert np.abs(camera.project(pointmap.points[pointmap.mask]) - pixels).max() < 2.0
        depth = pointmap.depth(camera)[pointmap.mask]
        truth = view.depth[pixels[:, 1].astype(int), pixels[:, 0].astype(int)]
        ratio = depth / truth
        assert np.quantile(np.abs(ratio / np.median(ratio) - 1), 0.98) < 0.02


def check_points(result: Reconstruction, known: World) -> None:
    """Asserts the same as `check_depth`, and that the cloud has points of every photo."""
    check_depth(result, known)
    cloud = result.cloud
    assert cloud is not None
    assert len(cloud) > 1000
    assert set(np.unique(cloud.photo)) == set(range(len(known.paths)))
    # Normals look at the cameras that saw the points.
    towards = np.stack([camera.world_from_camera[:3, 3] for camera in result.cameras])[cloud.photo] - cloud.positions
    assert (np.einsum("ij,ij->i", cloud.normals, towards) > 0).mean() > 0.97


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "vggt_commercial"])
@pytest.mark.parametrize(
    "sizes",
    [[LANDSCAPE], [PORTRAIT], [LANDSCAPE] * 3, [LANDSCAPE, PORTRAIT, (384, 800)]],
    ids=["one", "one-portrait", "landscape", "mixed"],
)
def test_the_world_comes_back(engine: str, sizes: list[Any], run: Callable[..., Any], tmp_path: Path) -> None:
    known = world(tmp_path, sizes)
    if engine == "spann3r" and len(set(sizes)) > 1:
        with pytest.raises(UserError, match=r"001\.png has another than 000\.png"):
            run(engine, known)
        return
    result = run(engine, known)
    check_cameras(result, known)
    check_points(result, known)
    assert not result.unregistered
    assert result.metric == (engine in ("map_anything", "cut3r", "must3r"))
    if result.metric and len(sizes) > 1:
        ours, true = ([a.world_from_camera[:3, 3] for a in views[:2]] for views in (result.cameras, known.views))
        assert np.linalg.norm(ours[1] - ours[0]) == pytest.approx(UNIT * np.linalg.norm(true[1] - true[0]), rel=0.01)


def painted(known: World) -> None:
    """Writes the photos as they look. In their middle, red still tells a stand-in which photo it sees."""
    for number, (path, view) in enumerate(zip(known.paths, known.views, strict=True)):
        image = view.image.copy()
        height, width = image.shape[:2]
        image[height // 2 - 12 : height // 2 + 12, width // 2 - 12 : width // 2 + 12] = (number, 128, 128)
        Image.fromarray(image).save(path)


def test_every_engine_offers_refinement() -> None:
    assert all(shared_options.REFINE in registry.engine(name).options for name in ENGINES)


def test_cameras_are_refined_on_the_photos(run: Callable[..., Any], tmp_path: Path) -> None:
    """Refinement starts from true cameras, so they stay. Afterwards their errors on the photos are known."""
    known = world(tmp_path, [LANDSCAPE] * 3, degrees=25)
    painted(known)
    result = run("depth_anything3", known, refine="known")
    check_cameras(result, known, angle=0.3, place=0.02)
    assert all(camera.reprojection_error is not None for camera in result.cameras)
    assert all(camera.error_before is not None for camera in result.cameras)


def test_many_photos_on_a_small_card_go_in_chunks(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_forward, "MOST_POINTMAPS", 10)
    known = world(tmp_path, [(240, 320)] * 20, degrees=100)
    result = run("depth_anything3", known, memory=memory_of("depth_anything3", 12))
    check_cameras(result, known, angle=0.3, place=0.01)
    assert any("12 at a time, in their order" in note for note in result.notes)
    # Depth maps of ten, from the first to the last, as good as those of few photos.
    assert [pointmap.photo for pointmap in result.pointmaps] == [known.paths[n].name for n in EVENLY]
    few = {pointmap.photo for pointmap in result.pointmaps}
    some = replace(result, cameras=[camera for camera in result.cameras if camera.photo in few])
    check_depth(some, World([known.views[n] for n in EVENLY], [known.paths[n] for n in EVENLY]))
    assert result.cloud is not None
    assert set(np.unique(result.cloud.photo)) == set(range(20))
    # No surface twice: nearly all points lie on the room, after the similarity that takes the cameras to the true ones.
    truth = np.stack([view.world_from_camera[:3, 3] for view in known.views])
    ours = np.stack([camera.world_from_camera[:3, 3] for camera in result.cameras])
    positions = procrustes(ours, truth, np.ones(len(ours))).apply(result.cloud.positions)
    assert np.quantile(off_the_room(positions), 0.95) < 0.03


EVENLY = (0, 2, 4, 6, 8, 11, 13, 15, 17, 19)  # ten of twenty


def test_photos_out_of_order_go_through_in_the_order_of_what_they_show(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The photos are also refined as a whole. Some of them have depth maps."""
    monkeypatch.setattr(feed_forward, "MOST_POINTMAPS", 10)
    known = world(tmp_path, [(240, 320)] * 16, degrees=75)
    mixed = np.random.default_rng(0).permutation(16)
    known = World([known.views[n] for n in mixed], known.paths)
    painted(known)
    accepted = photos.read(known.paths, lambda text, _photo: pytest.fail(text)).accepted
    similarity = retrieval.photo_similarity(accepted, photos.pixels, tmp_path, lambda *_progress: None)
    steps = np.abs(np.diff(mixed[retrieval.in_order(similarity)]))
    assert steps.mean() < 0.5 * np.abs(np.diff(mixed)).mean()
    result = run("depth_anything3", known, memory=memory_of("depth_anything3", 12), refine="known")
    assert any("12 at a time, sorted by what they show" in note for note in result.notes)
    check_cameras(result, known, angle=0.5, place=0.02)
    assert all(camera.reprojection_error is not None and camera.reprojection_error < 1 for camera in result.cameras)
    assert all(camera.error_before is not None for camera in result.cameras)
    assert len(result.pointmaps) == 10


def off_the_room(points: Array) -> Array:
    """(N,) the distances of points (N, 3) of the world from the nearest wall or ball."""
    walls = np.abs(np.abs(points) - oracle.ROOM).min(axis=1)
    balls = [np.abs(np.linalg.norm(points - middle, axis=1) - radius) for *middle, radius in oracle.BALLS]
    return np.min([walls, *balls], axis=0)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_card_that_is_too_small_is_told(engine: str, run: Callable[..., Any], tmp_path: Path) -> None:
    known = world(tmp_path, [(120, 160)] * 13, degrees=60)
    with pytest.raises(UserError, match=r"needs [0-9.]+ GB of free memory.*This card has [0-9.]+ GB.*fewer photos"):
        run(engine, known, memory=memory_of(engine, 6))


def test_photos_without_a_surface_are_told(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sky(known: World) -> StandIn:
        # `clear` is the logit that a pixel shows a surface.
        answer = map_anything_stand_in(known)
        return StandIn(lambda images: answer(images)._replace(clear=-torch.ones(len(images), *images.shape[2:])))

    monkeypatch.setitem(ENGINES, "map_anything", sky)
    with pytest.raises(UserError, match="MapAnything finds no surface in these photos"):
        run("map_anything", world(tmp_path, [LANDSCAPE] * 2))


def memory_of(engine: str, count: int) -> int:
    """Bytes of free memory in which `count` photos fit at once, and no more. A run may use the share MEMORY of them."""
    cost = registry.engine(engine).costs[""]  # these engines have no option `quality`
    return int((cost.memory + (count + 0.5) * cost.memory_per_photo) / feed_forward.MEMORY)


@pytest.mark.parametrize(
    ("module", "network", "other"),
    [
        (vggt, "VGGT", vggt_omega.VGGTOmega),
        (vggt_omega, "VGGTOmega", vggt.VGGT),
        (map_anything, "MapAnything", vggt.VGGT),
    ],
)
def test_weights_of_another_variant_are_told_apart(module: ModuleType, network: str, other: Callable[..., Any]) -> None:
    with torch.device("meta"):
        tensors = other().state_dict()
    with pytest.raises(UserError, match=rf"are not {network}'s .*choose the file that was made for this engine"):
        checkpoints.load(getattr(module, network), tensors, module.rename)


def test_what_may_be_used_commercially_is_declared() -> None:
    commercial = {name: registry.engine(name).commercial for name in ENGINES}
    assert commercial == {
        "depth_anything3": True,
        "vggt": False,
        "vggt_commercial": True,
        "vggt_omega": False,
        "fast3r": False,
        "map_anything": True,
        "pi3": False,
        "cut3r": False,
        "must3r": False,
        "spann3r": False,
    }
    assert registry.engine("vggt").weights != registry.engine("vggt_commercial").weights


@pytest.mark.parametrize("engine", ["vggt", "fast3r"])
def test_masked_pixels_keep_no_depth_and_no_points(engine: str, run: Callable[..., Any], tmp_path: Path) -> None:
    known = world(tmp_path, [LANDSCAPE] * 2)
    white = np.zeros(LANDSCAPE, np.uint8)
    white[:, :200] = 255
    Image.fromarray(white).save(tmp_path / "mask.png")
    result = run(engine, known, masks=str(tmp_path / "mask.png"))
    check_cameras(result, known, place=1.0)
    for pointmap in result.pointmaps:
        pixels = pointmap.photo_pixels()
        assert not pointmap.mask[pixels[..., 0] < 200].any()
        assert (pointmap.confidence[pixels[..., 0] < 200] == 0).all()
        assert pointmap.mask[pixels[..., 0] > 210].mean() > 0.5
    assert len(result.cloud) > 1000
    for number, camera in enumerate(result.cameras):
        columns = camera.project(result.cloud.positions[result.cloud.photo == number])[:, 0]
        assert columns.min() > 198


@pytest.mark.parametrize(("engine", "at_once", "offers"), [("spann3r", 14, 7), ("cut3r", 12, 22)], ids=str)
def test_stop_and_keep_delivers_the_frames_so_far(
    engine: str, at_once: int, offers: int, run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work is ended at one of the times at which it offers that; with CUT3R, in the second part."""
    monkeypatch.setattr("threer_blender.runtime.report.QUIET", 0.0)
    known = world(tmp_path, [(240, 320)] * 14, degrees=65)
    messages: list[Message] = []

    def send(report: MessageReport, message: Message) -> None:
        messages.append(message)
        if isinstance(message, Progress) and message.cancel_delivers:
            offered = sum(isinstance(each, Progress) and each.cancel_delivers for each in messages)
            if offered == offers:
                assert not report.cancel()

    result = run(engine, known, memory=memory_of(engine, at_once), refine="known", send=send)
    count = len(result.cameras)
    assert 6 <= count < 14
    check_cameras(result, World(known.views[:count], known.paths[:count]), angle=0.3, place=0.01)
    assert [each.photo for each in result.unregistered] == [path.name for path in known.paths[count:]]
    assert all("before its turn came" in each.reason for each in result.unregistered)
    assert any(f"after {count} of 14 photos" in note for note in result.notes)
    assert any("before its cameras were refined" in note for note in result.notes)
    assert [pointmap.photo for pointmap in result.pointmaps] == [camera.photo for camera in result.cameras]
    assert set(np.unique(result.cloud.photo)) == set(range(count))
    assert any(isinstance(message, Preview) for message in messages)

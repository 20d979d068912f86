"""The engines on photo pairs, run as a whole with an oracle in the network's place: they return the known cameras."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from threer_blender.model.reconstruction import PhotoFromMap

pytest.importorskip("torch", reason="the engines run networks")
import torch
from safetensors.torch import save_file

from tests import oracle
from tests.engines.pair_runs import FAR_VIEWS, checked_scale, chosen, run, run_mast3r, true_camera, views
from threer_blender import bundle
from threer_blender.engines import dust3r, mast3r
from threer_blender.engines import options as shared_options
from threer_blender.geometry.clouds import assembly, cleaning
from threer_blender.geometry.pairs import scene_graph
from threer_blender.geometry.pairs.pairs import Matches, PairPrediction
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Camera, Photo, Reconstruction
from threer_blender.networks import dust3r as network
from threer_blender.networks.layers.sizes import TransformerSize
from threer_blender.pipelines import pair_solution
from threer_blender.runtime import weights
from threer_blender.runtime.report import MessageReport

SIZES = [
    pytest.param(((1500, 1000), (1500, 1000)), id="landscape, cropped"),
    pytest.param(((900, 1300), (1200, 900)), id="portrait and landscape"),
    pytest.param(((700, 700), (80, 64)), id="square and tiny"),
]


@pytest.mark.parametrize("sizes", SIZES)
def test_two_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: tuple[Any, ...]) -> None:
    photos = chosen(tmp_path, *sizes)
    true_views = views(photos, FAR_VIEWS)
    result = run(monkeypatch, dust3r, photos, oracle.Oracle(true_views).predict)
    checked_scale(result, photos, true_views, tolerance=0)
    assert not result.metric
    assert not result.unregistered
    depths = [m.depth(c)[m.mask] for m, c in zip(result.pointmaps, result.cameras, strict=True)]
    assert np.median(np.concatenate(depths)) == pytest.approx(5, rel=0.01)  # as in all results without metres
    bundle.write(result, tmp_path / "result")
    again = bundle.read(tmp_path / "result")
    assert again.cloud is not None
    assert result.cloud is not None
    np.testing.assert_array_equal(again.cloud.positions, result.cloud.positions)
    assert again.licence == "CC-BY-NC-SA-4.0"


def test_two_photos_with_a_networks_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = chosen(tmp_path, (1024, 768), (1024, 768))
    true_views = views(photos, FAR_VIEWS)
    answers = oracle.Oracle(true_views, oracle.Errors(noise=0.03, outliers=0.02))
    checked_scale(run(monkeypatch, dust3r, photos, answers.predict), photos, true_views, tolerance=0.05)


def test_mast3r_keeps_its_metres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = chosen(tmp_path, (1024, 768), (1024, 768))
    true_views = views(photos, FAR_VIEWS)
    answers = oracle.Oracle(true_views, oracle.Errors(scale=0))
    result = run_mast3r(monkeypatch, photos, answers)
    assert result.metric
    assert checked_scale(result, photos, true_views, tolerance=0) == pytest.approx(1, rel=2e-3)
    alone = run_mast3r(monkeypatch, photos[:1], answers)
    assert checked_scale(alone, photos[:1], true_views[:1], tolerance=0) == pytest.approx(1, rel=2e-3)


def test_mast3r_with_many_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cameras' errors are measured in pixels of the photos. The oracle's errors show in them."""
    photos = chosen(tmp_path, *[(1024, 512)] * 5)
    poses = [oracle.look_at((3.4 * np.sin(a), -0.4, -3.4 * np.cos(a)), (0, 0.7, 0)) for a in np.linspace(0, 1.4, 5)]
    true_views = views(photos, poses)
    answers = oracle.Oracle(true_views, oracle.Errors(scale=0, noise=0.02, pixels=0.5, false_matches=0.1))
    result = run_mast3r(monkeypatch, photos, answers)
    assert checked_scale(result, photos, true_views, tolerance=0.01) == pytest.approx(1, rel=0.01)
    for camera in result.cameras:
        assert camera.reprojection_error is not None
        assert 0.2 < camera.reprojection_error < 1  # matches are off by half a pixel of a map half as large
    separate_lenses = run_mast3r(monkeypatch, photos[:3], answers, intrinsics="per-photo")
    assert len({camera.fx for camera in separate_lenses.cameras}) == 3


def test_dust3r_with_many_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last photo shows another place and is named. A pair that is wrong and one without numbers change nothing."""
    photos = chosen(tmp_path, *[(512, 256)] * 6)
    poses = [oracle.look_at((3.4 * np.sin(a), -0.4, -3.4 * np.cos(a)), (0, 0.7, 0)) for a in np.linspace(0, 1.4, 5)]
    true_views = views(photos, [*poses, oracle.look_at((0, 0, -4), (0, 0, -9))])
    answers = oracle.Oracle(true_views, oracle.Errors(noise=0.02, outliers=0.02))
    liar = oracle.Oracle(true_views, oracle.Errors(wrong=1.0))

    def answer(first: int, second: int) -> PairPrediction:
        prediction = (liar if {first, second} == {0, 3} else answers).predict(first, second)
        return (
            replace(prediction, points_second=prediction.points_second * np.nan)
            if (first, second) == (1, 2)
            else prediction
        )

    result = run(monkeypatch, dust3r, photos, answer)
    checked_scale(result, photos[:5], true_views[:5], tolerance=0.02)
    assert [entry.photo for entry in result.unregistered] == ["5.png"]
    assert result.cloud is not None
    assert len(result.cloud) < 0.8 * sum(pointmap.mask.sum() for pointmap in result.pointmaps)


def test_every_choice_of_pairs_has_its_graph() -> None:
    assert shared_options.PAIRS.choices is not None
    assert set(shared_options.PAIRS.choices) == set(scene_graph.GRAPHS)
    for graph in scene_graph.GRAPHS.values():  # of a number of photos, whether they are in order, their similarity
        assert graph(1, False, None) == []
        assert graph(2, True, None) == [(0, 1)]
        assert {photo for pair in graph(20, False, None) for photo in pair} == set(range(20))


@pytest.mark.parametrize("size", [(1500, 1000), (600, 1100), (9000, 1200)], ids=["landscape", "portrait", "huge"])
def test_one_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    photos = chosen(tmp_path, size)
    true_views = views(photos, FAR_VIEWS[:1])
    result = run(monkeypatch, dust3r, photos, oracle.Oracle(true_views).predict)
    checked_scale(result, photos, true_views, tolerance=0)
    assert result.cloud is not None
    assert len(result.cloud) == result.pointmaps[0].mask.sum()


def test_identical_photos_stand_in_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are the same byte for byte never come here. The same picture, saved twice, does."""
    photos = chosen(tmp_path, (800, 600), (800, 600))
    true_views = views(photos, [FAR_VIEWS[0], FAR_VIEWS[0]])
    result = run(monkeypatch, dust3r, photos, oracle.Oracle(true_views).predict)
    checked_scale(result, photos, true_views, tolerance=0)
    assert result.cloud is not None
    assert len(result.cloud) < 1.1 * result.pointmaps[0].mask.sum()


AWAY = oracle.look_at((3.0, -0.4, -2.0), (6, 0.5, -9))
GUESS = (
    "Nothing shows for certain that 0.png and 1.png see the same things: how they stand to each other is the network's "
    "guess. Photos taken between them would help."
)


@pytest.mark.parametrize("engine", [dust3r, mast3r], ids=["dust3r", "mast3r"])
def test_two_photos_without_overlap_are_a_guess_that_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: object
) -> None:
    photos = chosen(tmp_path, (800, 600), (800, 600))
    true_views = views(photos, [FAR_VIEWS[0], AWAY])
    answers = oracle.Oracle(true_views)
    if engine is mast3r:
        result = run_mast3r(monkeypatch, photos, answers)
    else:
        result = run(monkeypatch, dust3r, photos, answers.predict)
    assert GUESS in result.notes
    assert not result.unregistered
    for actual, truth in zip(result.cameras, true_views, strict=True):
        true = true_camera(photos[0], truth)
        assert (actual.fx, actual.cx, actual.cy) == pytest.approx((true.fx, true.cx, true.cy), rel=2e-3)
    # Each photo's own depth is as the network knows it, up to the scale.
    for pointmap, camera, truth in zip(result.pointmaps, result.cameras, true_views, strict=True):
        ratio = pointmap.depth(camera)[pointmap.mask] / truth.depth[pointmap.mask]
        assert np.abs(ratio / np.median(ratio) - 1).max() < 1e-2
    bundle.write(result, tmp_path / "result")
    assert GUESS in bundle.read(tmp_path / "result").notes


def test_a_guess_stands_as_both_orders_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two photos do overlap, and the network is right but unsure. The guess is then the truth."""
    photos = chosen(tmp_path, (1500, 1000), (900, 1300))
    true_views = views(photos, FAR_VIEWS)
    result = run(monkeypatch, dust3r, photos, lambda i, j: unsure(oracle.Oracle(true_views).predict(i, j)))
    checked_scale(result, photos, true_views, tolerance=0)
    assert GUESS in result.notes
    assert result.cloud is not None
    assert len(result.cloud) > 0.2 * sum(pointmap.confidence.size for pointmap in result.pointmaps)
    assert result.notes[:2] == [
        f"The network is sure of only 0% of {photo.name}: its place and its points may be wrong." for photo in photos
    ]
    assert result.notes[2].startswith("All its points are unsure: those of confidence 1.")
    assert result.trusted_confidence < 2


def unsure(prediction: PairPrediction) -> PairPrediction:
    """The same prediction, with confidences hardly above 1."""
    low = [
        1 + 0.05 * (confidence - 1) / (confidence - 1).max()
        for confidence in (prediction.confidence_first, prediction.confidence_second)
    ]
    return replace(prediction, confidence_first=low[0], confidence_second=low[1])


def test_one_photo_of_which_little_is_sure_is_shown_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = chosen(tmp_path, (800, 600))
    true_views = views(photos, FAR_VIEWS[:1])
    result = run(monkeypatch, dust3r, photos, lambda i, j: unsure(oracle.Oracle(true_views).predict(i, j)))
    assert result.notes[0] == "The network is sure of only 0% of 0.png: its place and its points may be wrong."
    assert result.pointmaps[0].mask.mean() == pytest.approx(0.5, abs=0.1)
    checked_scale(result, photos, true_views, tolerance=0)


def test_more_photos_that_nothing_connects_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = chosen(tmp_path, *[(800, 600)] * 3)
    answers = oracle.Oracle(views(photos, [*FAR_VIEWS, AWAY]))
    with pytest.raises(UserError, match="take photos that overlap by more than half"):
        run(monkeypatch, dust3r, photos, lambda i, j: unsure(answers.predict(i, j)))


@pytest.mark.parametrize("wrong", [1.08, 0.9, 1.6], ids=lambda wrong: f"network x {wrong}")
def test_one_photos_exif_focal_is_believed_unless_it_contradicts_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    """The network takes the lens for `wrong` times as long as it is. It keeps the sizes of things."""
    photos = chosen(tmp_path, (1500, 1000))
    true_views = views(photos, FAR_VIEWS[:1])
    true = true_camera(photos[0], true_views[0])
    answers = oracle.Oracle(true_views, oracle.Errors(scale=0))

    def through_a_wrong_lens(first: int, second: int) -> PairPrediction:
        prediction = answers.predict(first, second)
        return replace(prediction, points_first=prediction.points_first * np.array([1, 1, wrong], np.float32))

    known = [replace(photos[0], focal=true.fx)]
    with_exif = run_one(monkeypatch, known, through_a_wrong_lens)
    without = run_one(monkeypatch, photos, through_a_wrong_lens)
    assert without.cameras[0].fx == pytest.approx(true.fx * wrong, rel=2e-3)
    if wrong > 1.3:
        assert with_exif.cameras[0].fx == pytest.approx(without.cameras[0].fx)
        assert with_exif.notes == ["The focal length in the EXIF of 0.png contradicts its picture, and was not used."]
    else:
        assert not with_exif.notes
        assert checked_scale(with_exif, photos, true_views, tolerance=0) == pytest.approx(1, rel=1e-3)  # in metres, too


def run_one(
    monkeypatch: pytest.MonkeyPatch, photos: list[Photo], answer: Callable[[int, int], PairPrediction]
) -> Reconstruction:
    """The result for one photo by MASt3R, which knows metres."""
    nothing = Matches(0, 0, np.empty((0, 2)), np.empty((0, 2)), np.empty(0))
    monkeypatch.setattr(mast3r, "predict", lambda *_: iter([(answer(0, 0), nothing)]))
    return mast3r.reconstruct(photos, mast3r.ENGINE.checked_options({}), MessageReport(lambda _message: None))


def test_what_is_no_number_never_reaches_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = chosen(tmp_path, (800, 600), (800, 600))
    true_views = views(photos, FAR_VIEWS)
    holes = np.random.default_rng(0).random(true_views[0].depth.shape) < 0.1

    def broken(first: int, second: int) -> PairPrediction:
        prediction = oracle.Oracle(true_views).predict(first, second)
        points, confidence = prediction.points_first.copy(), prediction.confidence_second.copy()
        points[holes] = np.nan
        points[~holes & (prediction.confidence_first > 5)] = np.inf
        confidence[holes] = np.nan
        return replace(prediction, points_first=points, confidence_second=confidence)

    for count in (1, 2):
        result = run(monkeypatch, dust3r, photos[:count], broken)
        checked_scale(result, photos[:count], true_views[:count], tolerance=1e-3)
        for part in (*result.pointmaps, result.cloud):
            assert all(np.isfinite(values).all() for values in vars(part).values() if isinstance(values, np.ndarray))
        assert not result.pointmaps[0].mask[holes].any()

    def nothing(first: int, second: int) -> PairPrediction:
        prediction = oracle.Oracle(true_views).predict(first, second)
        return replace(
            prediction, points_first=prediction.points_first * np.nan, points_second=prediction.points_second * np.nan
        )

    for count in (1, 2):
        with pytest.raises(UserError):
            run(monkeypatch, dust3r, photos[:count], nothing)


def test_into_blender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own, as Blender never meets torch."""
    pytest.importorskip("bpy", reason="needs Blender's Python package")
    photos = chosen(tmp_path, (1500, 1000), (900, 1300))
    result = run(monkeypatch, dust3r, photos, oracle.Oracle(views(photos, FAR_VIEWS)).predict)
    bundle.write(result, tmp_path / "result")
    code = f"""
import sys
import bpy, numpy as np
from pathlib import Path
from threer_blender import bundle
from threer_blender.scene import build, cameras
folder = Path({str(tmp_path / "result")!r})
result = bundle.read(folder)
bpy.ops.wm.read_factory_settings(use_empty=True)
root = build.build(result, folder)
for camera, shown in zip(result.cameras, build.solved_cameras(root), strict=True):
    scene = bpy.context.scene
    cameras.use_camera(scene, shown)
    bpy.context.view_layer.update()
    render = scene.render
    lens = shown.calc_matrix_camera(bpy.context.evaluated_depsgraph_get(), x=render.resolution_x, y=render.resolution_y)
    whole = np.array(lens) @ np.linalg.inv(shown.matrix_world.normalized()) @ np.array(root.matrix_world)
    pointmap = next(m for m in result.pointmaps if m.photo == camera.photo)
    points = pointmap.points[pointmap.mask][::97].astype(float)
    clip = np.c_[points, np.ones(len(points))] @ whole.T
    pixels = (clip[:, :2] / clip[:, 3:] * (1, -1) + 1) / 2 * (render.resolution_x, render.resolution_y)
    print(np.abs(pixels - pointmap.photo_pixels()[pointmap.mask][::97]).max())
assert "torch" not in sys.modules
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    errors = [float(line) for line in ran.stdout.splitlines() if line.replace(".", "").replace("e-", "").isdigit()]
    assert len(errors) == 2
    assert max(errors) < 0.05  # pixels of the photos: every point stands on the ray of its pixel


@pytest.fixture
def seeded_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DUSt3R is small, and its seeded weights come from a file, as published ones do."""
    tiny = network.DUSt3RConfig(encoder=TransformerSize(64, 2, 4), decoder=TransformerSize(48, 4, 4))
    torch.manual_seed(0)
    seeded = network.linear_224(tiny)
    names = {f"encoder.{name}": name for name in seeded.encoder.state_dict()}
    save_file({names.get(k, k): v.clone() for k, v in seeded.state_dict().items()}, tmp_path / "tiny.safetensors")
    monkeypatch.setattr(network, "dpt_512", lambda: network.linear_224(tiny))
    monkeypatch.setattr(weights, "locate", lambda _weights: tmp_path / "tiny.safetensors")


@pytest.mark.usefixtures("seeded_network")
def test_a_seeded_networks_answer_for_one_photo_becomes_a_result(tmp_path: Path) -> None:
    """The answer means nothing, but every number of it is finite."""
    photos = chosen(tmp_path, (640, 480))
    result = dust3r.reconstruct(photos, dust3r.ENGINE.checked_options({}), MessageReport(lambda _message: None))
    for part in (*result.pointmaps, *result.cameras, result.cloud):
        for values in vars(part).values():
            assert not isinstance(values, np.ndarray) or np.isfinite(values).all()
    bundle.write(result, tmp_path / "result")


@pytest.mark.usefixtures("seeded_network")
def test_a_seeded_networks_answers_for_two_photos_are_refused(tmp_path: Path) -> None:
    photos = chosen(tmp_path, (640, 480), (480, 640))
    with pytest.raises(UserError, match=r"The network has no answer for 0\.png"):
        dust3r.reconstruct(photos, dust3r.ENGINE.checked_options({}), MessageReport(lambda _message: None))


def test_a_surface_seen_twice_is_in_the_cloud_once() -> None:
    """Two views see a wall. Where both see it, the surer one's points stay. Elsewhere each view keeps its own."""
    pose = np.eye(4)
    beside = np.eye(4)
    beside[0, 3] = 1.0  # each view sees 4 units of the wall
    two_views = []
    for number, (where, confidence) in enumerate([(pose, 2.0), (beside, 5.0)]):
        camera = Camera(str(number), 80, 80, 80.0, 80.0, 40.0, 40.0, where)
        depth, image = np.full((40, 40), 4.0), np.full((40, 40, 3), number, np.uint8)
        two_views.append(
            assembly.View(number, camera, PhotoFromMap(2, 2, 0, 0), image, depth, np.full((40, 40), confidence))
        )
    pointmaps = [view.pointmap(1.5) for view in two_views]
    cloud, _ = cleaning.merge(
        [view.camera for view in two_views], pointmaps, [view.image for view in two_views], [0, 1]
    )
    assert (cloud.photo == 1).sum() == 1600
    assert (cloud.photo == 0).sum() == 400
    assert cloud.positions[cloud.photo == 0][:, 0].max() < -1
    np.testing.assert_allclose(cloud.normals, np.broadcast_to((0, 0, -1), cloud.normals.shape), atol=1e-6)
    assert (cloud.colors == cloud.photo[:, None]).all()


def test_what_is_under_masks_misleads_neither_cameras_nor_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Matches and depths of a masked part are wrong in all pairs; with the mask, cameras and points are the truth."""
    photos = chosen(tmp_path, *[(1024, 512)] * 3)
    poses = [oracle.look_at((3.4 * np.sin(a), -0.4, -3.4 * np.cos(a)), (0, 0.7, 0)) for a in np.linspace(0, 0.7, 3)]
    true_views = views(photos, poses)
    answers = oracle.Oracle(true_views, oracle.Errors(scale=0))
    height, width = true_views[0].depth.shape
    masked = np.arange(width) < width // 3
    white = np.where(np.arange(1024)[None, :] < 1024 // 3, 255, 0).repeat(512, axis=0).astype(np.uint8)
    Image.fromarray(white).save(tmp_path / "mask.png")

    def predict(_inputs: list[Any], pairs: scene_graph.Choose, _report: MessageReport) -> Any:
        for pair in pair_solution.both_orders(pairs(None)):
            prediction, matches = answers.predict(*pair), answers.matches(*pair, stride=8)
            points = prediction.points_first.copy()
            points[:, masked] = points[:, masked][:, ::-1] * np.float32(2)
            moved = matches.pixels_second.copy()
            under = matches.pixels_first[:, 0] < width // 3
            moved[under] = (0.7 * moved[under] + (10, 30)) % (width // 3, height)
            confident = np.where(under, 50.0, matches.confidence)
            yield (
                replace(prediction, points_first=points),
                replace(matches, pixels_second=moved, confidence=confident),
            )

    monkeypatch.setattr(mast3r, "predict", predict)
    options = mast3r.ENGINE.checked_options({"masks": str(tmp_path / "mask.png"), "mask_margin": 8})
    result = mast3r.reconstruct(photos, options, MessageReport(lambda _message: None))
    checked_scale(result, photos, true_views, tolerance=0)
    assert all(not m.mask[:, masked].any() for m in result.pointmaps)

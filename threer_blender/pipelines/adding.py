"""[R] Photos added to an earlier result, whose cameras stay where they are; or to none. numpy only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .. import bundle
from ..geometry.alignment import global_alignment
from ..geometry.alignment.global_alignment import AlignedView, Alignment
from ..geometry.clouds.assembly import View
from ..model.engine import Engine
from ..model.errors import UserError, quoted
from ..model.reconstruction import Photo, Reconstruction, Unregistered
from .pair_solution import NetworkInput


@dataclass(frozen=True)
class EarlierResult:
    """An earlier `result`, without cameras where there is none; and the `photos` of the one to make: those that have a
    camera in it, then the new ones."""

    result: Reconstruction
    photos: list[Photo]

    @property
    def solved(self) -> range:
        """The numbers of the photos that have a camera."""
        return range(len(self.result.cameras))

    def views(self, inputs: Sequence[NetworkInput]) -> list[View]:
        """The solved photos as the earlier result has them; `inputs` is what the network sees of each of `photos`."""
        maps = {pointmap.photo: pointmap for pointmap in self.result.pointmaps}
        views = []
        for number, camera in enumerate(self.result.cameras):
            pointmap = maps[camera.photo]
            depth = pointmap.depth(camera).astype(np.float32)
            views.append(
                View(
                    number,
                    replace(camera, plate=""),
                    pointmap.photo_from_map,
                    inputs[number].image,
                    depth,
                    pointmap.confidence,
                )
            )
        return views

    def alignment(self, inputs: Sequence[NetworkInput]) -> Alignment:
        """The solved photos as `global_alignment.align` takes them; their lenses as ideal ones."""
        solved = []
        for view in self.views(inputs):
            focal = view.camera.fx / math.sqrt(view.photo_from_map.scale_x * view.photo_from_map.scale_y)
            pose, confidence = view.camera.world_from_camera, view.confidence
            solved.append(AlignedView(view.number, pose, focal, np.maximum(view.depth, 0), confidence))
        return replace(global_alignment.NOTHING, views=solved)

    def beside(self, views: Sequence[View], inputs: Sequence[NetworkInput]) -> list[View]:
        """The solved photos as they were, and of `views` those of the new photos."""
        return [*self.views(inputs), *(view for view in views if view.number not in self.solved)]

    def unregistered(self, now: Sequence[Unregistered]) -> list[Unregistered]:
        """The unregistered photos of the earlier result, but for those that were chosen again, and those of this
        one."""
        names = {photo.name for photo in self.photos}
        return [*(entry for entry in self.result.unregistered if entry.photo not in names), *now]


def read_earlier(folder: str, engine: Engine, chosen: Sequence[Photo]) -> EarlierResult:
    """The result in `folder`, to which the `chosen` photos are to be added; some of them may be its own.

    Without a folder all of them are new. Raises UserError where there is no such result, where another engine made it,
    where no chosen photo is new, or another of that name is known.
    """
    if not folder:
        return EarlierResult(Reconstruction(engine.id, engine.licence, [], []), list(chosen))
    result = bundle.read(folder)
    if result.engine != engine.id or len(result.pointmaps) != len(result.cameras):
        raise UserError(f"Photos can only be added to a result of {engine.label}; choose such a folder, or none.")
    by_name = {photo.name: photo for photo in result.photos}
    solved_photos = {by_name[camera.photo].sha256: by_name[camera.photo] for camera in result.cameras}
    solved_photos |= {
        photo.sha256: replace(solved_photos[photo.sha256], path=photo.path)
        for photo in chosen
        if photo.sha256 in solved_photos
    }
    new = [photo for photo in chosen if photo.sha256 not in solved_photos]
    if not new:
        raise UserError("All of these photos have a camera in that result; choose photos to add to it.")
    taken = {photo.name for photo in solved_photos.values()}
    for photo in new:
        if photo.name in taken:
            raise UserError(
                f"That result has another photo that is called {quoted(photo.name)}; rename one of the two."
            )
    return EarlierResult(result, [*solved_photos.values(), *new])

"""[R] Adds photos to an earlier result, whose cameras stay where they are. numpy only."""

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
    """An earlier `result`, and the `photos` of the new one: those that have a camera in the earlier, then new ones.

    Without an earlier result, `result` has no cameras, and all photos are new. Photos are known by their index.
    """

    result: Reconstruction
    photos: list[Photo]

    @property
    def solved(self) -> range:
        """The indices of the photos that have a camera in the earlier result."""
        return range(len(self.result.cameras))

    def views(self, inputs: Sequence[NetworkInput]) -> list[View]:
        """The solved photos' views in the earlier result. `inputs` are the network's inputs of all `photos`."""
        maps = {pointmap.photo: pointmap for pointmap in self.result.pointmaps}
        views = []
        for number, camera in enumerate(self.result.cameras):
            pointmap = maps[camera.photo]
            depth = pointmap.depth(camera).astype(np.float32)
            views.append(
                View(
                    number,
                    replace(camera, undistorted=""),  # its undistorted copy lies in the earlier bundle
                    pointmap.photo_from_map,
                    inputs[number].image,
                    depth,
                    pointmap.confidence,
                )
            )
        return views

    def alignment(self, inputs: Sequence[NetworkInput]) -> Alignment:
        """The solved photos as the start of `global_alignment.align`, with ideal lenses. `inputs` as in `views`."""
        solved = []
        for view in self.views(inputs):
            focal = view.camera.fx / math.sqrt(view.photo_from_map.scale_x * view.photo_from_map.scale_y)
            depth = np.maximum(view.depth, 0)
            solved.append(AlignedView(view.number, view.camera.world_from_camera, focal, depth, view.confidence))
        return replace(global_alignment.NOTHING, views=solved)

    def views_with(self, views: Sequence[View], inputs: Sequence[NetworkInput]) -> list[View]:
        """The solved photos' views as they were, and those of `views` that are of new photos."""
        return [*self.views(inputs), *(view for view in views if view.number not in self.solved)]

    def unregistered(self, now: Sequence[Unregistered]) -> list[Unregistered]:
        """The unregistered photos of the earlier result that were not chosen again, and those of the new one, `now`."""
        names = {photo.name for photo in self.photos}
        return [*(entry for entry in self.result.unregistered if entry.photo not in names), *now]


def read_earlier(folder: str, engine: Engine, chosen: Sequence[Photo]) -> EarlierResult:
    """The result in `folder`, to which the `chosen` photos will be added. Some of them may be in it already.

    With an empty `folder`, all of them are new. Raises UserError where the folder holds no result of `engine`, no
    chosen photo is new, or a new photo has the name of another in the result.
    """
    if not folder:
        return EarlierResult(Reconstruction(engine.id, engine.licence, [], []), list(chosen))
    result = bundle.read(folder)
    if result.engine != engine.id or len(result.pointmaps) != len(result.cameras):
        raise UserError(f"Photos can only be added to a result of {engine.label}; choose such a folder, or none.")
    by_name = {photo.name: photo for photo in result.photos}
    paths = {photo.sha256: photo.path for photo in chosen}
    solved = [by_name[camera.photo] for camera in result.cameras]
    solved = [replace(photo, path=paths.get(photo.sha256, photo.path)) for photo in solved]
    contents = {photo.sha256 for photo in solved}
    new = [photo for photo in chosen if photo.sha256 not in contents]
    if not new:
        raise UserError("All of these photos have a camera in that result; choose photos to add to it.")
    taken = {photo.name for photo in solved}
    for photo in new:
        if photo.name in taken:
            raise UserError(
                f"That result has another photo that is called {quoted(photo.name)}; rename one of the two."
            )
    return EarlierResult(result, [*solved, *new])

"""[B] What the panel says of a reconstruction in the scene; read from the scene, so it is right after undo and load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy

from ..scene import build, cameras, identity


@dataclass(frozen=True)
class Summary:
    """A reconstruction in few words.

    `error` in pixels, None where nothing was measured; `error_before` of the refined cameras before they were, None
    where none was; `layout` cameras nobody measured; `notes` are sentences.
    """

    name: str
    registered: int
    chosen: int
    points: int
    splats: int
    error: float | None
    error_before: float | None
    layout: int
    notes: list[str]
    bundle: Path


def shown_root(scene: bpy.types.Scene, active: bpy.types.Object | None) -> bpy.types.Object | None:
    """The root of the reconstruction that the artist works with: the active object's, else the scene's latest."""
    while active is not None:
        if active.get(identity.ROLE) == identity.ROOT:
            return active
        active = active.parent
    roots = [placed for placed in scene.objects if placed.get(identity.ROLE) == identity.ROOT]
    return max(roots, key=lambda root: root.session_uid, default=None)


def summary(root: bpy.types.Object) -> Summary:
    """What stands under `root`."""
    solved = build.solved_cameras(root)
    errors, before = (
        [shown[name] for shown in solved if name in shown] for name in (cameras.ERROR, cameras.ERROR_BEFORE)
    )

    def points_of(role: str) -> int:
        shown = [child for child in root.children if child.get(identity.ROLE) == role]
        return sum(len(child.data.attributes["position"].data) for child in shown)

    return Summary(
        name=root.name,
        registered=len(solved),
        chosen=root.get(build.CHOSEN, len(solved)),  # files of earlier versions do not say
        points=points_of(identity.CLOUD),
        splats=points_of(identity.SPLATS),
        error=sum(errors) / len(errors) if errors else None,
        error_before=sum(before) / len(before) if before else None,
        layout=len(solved) - len(errors),
        notes=root[build.NOTES].splitlines(),
        bundle=Path(bpy.path.abspath(root[build.BUNDLE])),
    )

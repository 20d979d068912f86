"""[B] The add-on's user interface: panel, operators, properties, preferences. Thin: other rooms do the work."""

from __future__ import annotations

from pathlib import Path

from . import (
    alignment,
    arrival,
    aside,
    drawn_masks,
    engines,
    error_graph,
    evaluating,
    lasso,
    lenses,
    mending,
    meshes,
    operators,
    panel,
    photo_list,
    picks,
    pictures,
    points,
    points_panel,
    preferences,
    properties,
    proxies,
    references,
    several,
    smoothing,
    solves,
    splats,
    splitting,
    survey,
    tracking,
    upkeep,
    views,
    work,
)

# In the order in which they need each other.
_parts = (
    *(
        properties,
        operators,
        solves,
        lenses,
        splats,
        proxies,
        meshes,
        upkeep,
        pictures,
        photo_list,
        views,
        engines,
        references,
        drawn_masks,
    ),
    *(panel, picks, survey, alignment, points, lasso, splitting, points_panel, evaluating, several),
    *(tracking, error_graph, smoothing, mending, arrival, aside),
)


def register(data_folder: Path, addon_id: str) -> None:
    """Registers the user interface with Blender.

    `data_folder` is the folder that the add-on may write to. `addon_id` is the name of the add-on's module.
    """
    work.begin(data_folder, addon_id)
    for part in _parts:
        part.register()
    preferences.register()


def unregister() -> None:
    """Ends all jobs and takes the user interface out of Blender again."""
    preferences.unregister()
    for part in reversed(_parts):
        part.unregister()
    work.end()

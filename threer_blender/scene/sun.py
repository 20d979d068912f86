"""[S] Estimates the direction of the light from the photos' sky, or from how the solved points are lit. numpy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..model.arrays import Array, FloatArray

GAMMA = 2.2  # sRGB's, nearly
BURNT = 0.97  # of white: a pixel this bright in all channels shows a light, or the sky around it
LEAST_PIXELS = 12  # samples of the photos that must be so bright
LOWEST = 10.0  # degrees over the horizon: a sun is not looked for lower than this
LEAST_CONTRAST = 0.08  # of the mean brightness: the least difference between surfaces that face the light and others
BINS = 12  # along each axis of the normals; a normal in a fuller bin counts less, so that no floor outvotes walls


class Sun(NamedTuple):
    """`direction` (3,) is a unit vector from the scene to the light, in Blender's world. `by` names the evidence."""

    direction: FloatArray
    by: str


def of_sky(directions: Array, colors: Array) -> Sun | None:
    """The middle of the brightest part of the sky, from view directions (N, 3) in Blender's world and their colours.

    Colours (N, 3) are in [0, 1]. None where too few pixels over the horizon are burnt out.
    """
    bright = (colors.min(1) >= BURNT) & (directions[:, 2] > np.sin(np.radians(LOWEST)))
    if bright.sum() < LEAST_PIXELS:
        return None
    candidates = np.asarray(directions[bright], np.float64)
    middle = candidates.mean(0)
    for cone in (60.0, 30.0, 20.0):  # mean shift onto the largest bright part
        near = candidates @ (middle / np.linalg.norm(middle)) > np.cos(np.radians(cone))
        middle = candidates[near].mean(0) if near.any() else middle
    return Sun(middle / np.linalg.norm(middle), "the brightest part of the photos' sky")


def of_surfaces(normals: Array, colors: Array) -> Sun | None:
    """The side on which surfaces are brightest, from unit normals (N, 3) in Blender's world and sRGB (N, 3) uint8.

    Brightness is fitted as a constant plus a part that is linear in the normal, as diffuse light from one side gives it
    on average. None where all sides are equally bright, or where there are surfaces of one side only.
    """
    light = (colors.astype(np.float64) / 255) ** GAMMA @ (0.2126, 0.7152, 0.0722)
    bins = np.floor((np.asarray(normals, np.float64) + 1) / 2 * (BINS - 1e-6)).astype(np.int64) @ (1, BINS, BINS**2)
    _, full_bin, count = np.unique(bins, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(count[full_bin])
    predictors = np.column_stack([np.ones(len(normals)), normals])
    gram = (weights[:, None] * predictors).T @ predictors / max(weights.sum(), 1e-12)
    if len(normals) < 100 or np.linalg.eigvalsh(gram)[0] < 1e-3:
        return None
    constant, *gradient = np.linalg.solve(gram, (weights[:, None] * predictors).T @ light / weights.sum())
    steepness = float(np.linalg.norm(gradient))
    direction: FloatArray = np.array(gradient) / max(steepness, 1e-12)
    if steepness < LEAST_CONTRAST * constant or direction[2] < np.sin(np.radians(LOWEST)):
        return None
    return Sun(direction, "the side on which the points are brightest")


def from_above() -> Sun:
    """A guess: the light comes from high up, a little from one side, so that shadows show."""
    direction = np.array((0.35, -0.35, 0.87))
    return Sun(direction / np.linalg.norm(direction), "a guess: neither sky nor points tell")

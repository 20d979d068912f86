"""[R] Tracks made more exact: observations are registered together, by the warps that solved cameras give.

A track that was followed forwards drifts slowly, as its patch changes with the view. Here all observations of a point
are aligned with their mean patch, see `features.registration`. The frames' pictures come one after the other, and only
those that unfinished tracks need are in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ...model import lens
from ...model.arrays import Array, BoolArray, FloatArray, IntArray
from ...model.engine import Check, unchecked
from ..adjustment.shot_problem import LENS_CENTRE, ShotLens, ShotState
from ..adjustment.tracks import Tracks
from ..features import registration
from .moving import camera_rays, crossings
from .tracking import Frame

OFFSET = 5.0  # px to either side of the reference, for the numerical derivatives of a warp
NEARER = 0.01  # the logarithm of the inverse depth is changed by so much, for the numerical derivative
LARGEST_AREA = 10.0  # a patch whose area grows or shrinks by a larger factor is not registered


class _Geometry(NamedTuple):
    """Of M observations, as `registration.register` takes them but in pixels of the frames as filmed: the `warps`
    (M, 2, 2), the `parallax` (M, 2), and whether both are `known` (M,). `references` (P,) are the observations whose
    pixels the points' patches have: the middle ones of their tracks."""

    warps: FloatArray
    parallax: FloatArray
    known: BoolArray
    references: IntArray


def refined(
    tracks: Tracks,
    numbers: IntArray,
    shot_lens: ShotLens,
    state: ShotState,
    pictures: Iterable[Frame],
    check: Check = unchecked,
) -> Tracks:
    """The tracks with their observations registered together, in the same order. `state` has the solved cameras of the
    frames with these `numbers` (F,), and `pictures` are the frames in that order. `check()` is called for each frame,
    and may raise.

    Where an observation does not fit, or a frame has no picture, its pixels stay as they are.
    """
    if not len(tracks):
        return tracks
    begins = np.searchsorted(tracks.point, np.arange(len(tracks) + 1))
    geometry = _geometry(tracks, shot_lens, state, begins)
    last = tracks.camera[begins[1:] - 1]
    slots = int((last - tracks.camera[begins[:-1]]).max()) + 1
    index_of = {int(number): index for index, number in enumerate(numbers)}
    memory, in_slot, pixels = np.zeros((0, 0, 0), np.float32), np.full(slots, -1), tracks.pixels.copy()
    for picture in pictures:
        check()
        index = index_of.get(picture.number)
        if index is None:
            continue
        if not len(memory):
            memory = np.zeros((slots, *picture.grey.shape), np.float32)
        memory[index % slots], in_slot[index % slots] = picture.grey, index
        usable = geometry.known & (in_slot[tracks.camera % slots] == tracks.camera)
        observations = [
            np.arange(begins[point], begins[point + 1])[usable[begins[point] : begins[point + 1]]]
            for point in np.flatnonzero(last == index)
            if usable[geometry.references[point]]
        ]
        _register(tracks, observations, geometry, memory, shot_lens.size[0] / memory.shape[2], pixels)
    return replace(tracks, pixels=pixels)


def _register(
    tracks: Tracks,
    observations: list[IntArray],
    geometry: _Geometry,
    memory: Array,
    scale: float,
    pixels: FloatArray,
) -> None:
    """Registers some points' `observations`, whose pictures are in `memory`, and writes their new `pixels` (M, 2).
    Frames as filmed are `scale` times as large as these pictures."""
    if not observations:
        return
    rows = np.concatenate(observations)
    begins = np.concatenate([[0], np.cumsum([len(each) for each in observations])])
    references = np.searchsorted(rows, geometry.references[tracks.point[rows[begins[:-1]]]])
    places = pixels[rows] / scale
    registration.register(
        memory,
        begins,
        tracks.camera[rows] % len(memory),
        references,
        geometry.warps[rows],
        geometry.parallax[rows] / scale,
        places,
    )
    pixels[rows] = places * scale


def _geometry(tracks: Tracks, shot_lens: ShotLens, state: ShotState, begins: IntArray) -> _Geometry:
    """The warps of all observations. Point p has those from `begins[p]` up to `begins[p + 1]`."""
    solved, zooms = replace(shot_lens, start=state.lens), state.log_zooms + state.lens[0]
    rays = camera_rays(tracks, solved, zooms)
    usable = rays.any(axis=1)
    unit = np.einsum("mji,mj->mi", state.rotations[tracks.camera], rays)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    points = crossings(tracks.point[usable], len(tracks), unit[usable], state.centres[tracks.camera[usable]])
    references = (begins[:-1] + begins[1:] - 1) // 2
    frames = tracks.camera[references]
    depth = np.einsum("pi,pi->p", state.rotations[frames, 2], points - state.centres[frames])
    steps = OFFSET * np.array([(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0), (0.0, 0.0), (0.0, 0.0)])
    ends = []
    for step, log_nearer in zip(steps, (0.0, 0.0, 0.0, 0.0, NEARER, -NEARER), strict=True):
        around = Tracks(tracks.point[references], frames, tracks.pixels[references] + step, depth)
        local = camera_rays(around, solved, zooms) * (depth * np.exp(-log_nearer))[:, None]
        world = np.einsum("pji,pj->pi", state.rotations[frames], local) + state.centres[frames]
        ends.append(_projected(world, tracks, solved, state, zooms))
    right, left, below, above, nearer, farther = ends
    warps = np.stack([right - left, below - above], axis=2) / (2 * OFFSET)
    parallax = (nearer - farther) / (2 * NEARER)
    area = warps[:, 0, 0] * warps[:, 1, 1] - warps[:, 0, 1] * warps[:, 1, 0]
    known = usable & (depth > 0)[tracks.point] & np.isfinite(parallax).all(axis=1)
    known &= (area > 1 / LARGEST_AREA) & (area < LARGEST_AREA)
    return _Geometry(warps, parallax, known, references)


def _projected(points: FloatArray, tracks: Tracks, solved: ShotLens, state: ShotState, zooms: FloatArray) -> FloatArray:
    """(M, 2) pixels at which the observations' cameras see their points, of `points` (P, 3); NaN behind a camera."""
    local = np.einsum("mij,mj->mi", state.rotations[tracks.camera], points[tracks.point] - state.centres[tracks.camera])
    depth = np.where(local[:, 2] > 0, local[:, 2], np.nan)
    plane = lens.distort(solved.distortion(state.lens), local[:, :2] / depth[:, None])
    pixels: FloatArray = solved.focal * np.exp(zooms[tracks.camera])[:, None] * plane + state.lens[LENS_CENTRE]
    return pixels

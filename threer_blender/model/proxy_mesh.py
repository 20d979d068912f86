"""[S] Meshes that stand in for what photos or splats show, for holdouts and shadows: no texture, no small detail.

`from_depth` turns one pointmap into a mesh that is cut where depth jumps; `from_pointmaps` fuses many by a truncated
signed distance (Curless and Levoy 1996, "A volumetric method for building complex models from range images");
`from_splats` finds the surface where splats become dense. The last two take it from a grid by surface nets (Gibson
1998, "Constrained elastic surface nets", without the relaxation). Numpy only, for grids of some million cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .arrays import Array, FloatArray
from .errors import UserError
from .quaternions import matrices_from_wxyz
from .reconstruction import Camera, Gaussians, PointMap, Reconstruction

JUMP = 0.03  # relative step of inverse depth between neighbouring pixels from which it may be an edge
STEEPER = 3.0  # such a step is an edge if it exceeds the smaller of the steps beside it so many times
CELLS = 128  # along the longest side of the points, outliers aside; the grid has some more around them
OUTLIERS = 1.0  # percent of the points left out of the grid at both ends of each axis
TRUNCATION = 5.0  # cells in front of and behind a surface in which its distance counts
FUSED_MAPS = 24  # at most so many pointmaps are fused, evenly chosen
DENSE = 0.3  # summed opacity of splats around a cell from which it counts as solid
FAINT = 0.1  # opacity up to which splats are haze and left out


class Mesh(NamedTuple):
    """`vertices` (V, 3) float32 in the reconstruction's world, `faces` (F, 3) int32."""

    vertices: Array
    faces: Array


class Grid(NamedTuple):
    """A grid of cubic cells: the first cell's centre (3,), the side of a cell, and the number of cells on each axis."""

    origin: FloatArray
    side: float
    shape: tuple[int, int, int]

    def centres(self, layer: int) -> FloatArray:
        """(ny * nz, 3) the centres of the cells with index `layer` along x."""
        y, z = np.meshgrid(np.arange(self.shape[1]), np.arange(self.shape[2]), indexing="ij")
        cells = np.stack([np.full_like(y, layer), y, z], axis=-1).reshape(-1, 3)
        centres: FloatArray = self.origin + self.side * cells
        return centres


def from_depth(pointmap: PointMap, camera: Camera) -> Mesh:
    """A mesh of one pointmap: two triangles for each four neighbouring trusted pixels, none across a jump of depth."""
    depth = pointmap.depth(camera)
    with np.errstate(divide="ignore"):
        inverse = np.where(pointmap.mask & (depth > 0), 1 / depth, np.nan)
    down, across = _smooth(inverse), _smooth(inverse.T).T  # for each step from a pixel to the next
    whole = down[:, :-1] & down[:, 1:] & across[:-1] & across[1:]
    height, width = inverse.shape
    index = np.arange(height * width).reshape(height, width)
    a, b, c, d = (part[whole] for part in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    faces = np.concatenate([np.stack([a, c, b], axis=-1), np.stack([b, c, d], axis=-1)])
    return _used(pointmap.points.reshape(-1, 3), faces)


def _smooth(inverse: FloatArray) -> Array:
    """(H - 1, W) whether each step of inverse depth to the next row stays on one surface; steps from or to NaN do not.

    Along a plane, however slanted, all steps of inverse depth are equal.
    """
    step = np.abs(np.diff(inverse, axis=0))
    padded = np.pad(step, ((1, 1), (0, 0)), constant_values=np.nan)
    beside = np.fmin(padded[:-2], padded[2:])
    nearer = np.fmax(inverse[:-1], inverse[1:])
    edge = (step > JUMP * nearer) & ~(step <= STEEPER * beside)
    smooth: Array = ~np.isnan(step) & ~edge
    return smooth


def _used(points: Array, faces: Array) -> Mesh:
    """The mesh of `faces`, without the points that no face uses."""
    used, flat = np.unique(faces, return_inverse=True)
    return Mesh(points[used].astype(np.float32), flat.reshape(-1, 3).astype(np.int32))


def _grid(points: Array) -> Grid:
    """A grid around most of the points (N, 3), with room on both sides of the surface.

    Raises UserError where all points lie at one place.
    """
    low, high = np.percentile(points, (OUTLIERS, 100 - OUTLIERS), axis=0)
    side = float((high - low).max()) / CELLS
    if not side > 0:
        raise UserError("All points lie at one place: there is no surface to make a mesh of.")
    room = 2 * TRUNCATION * side
    counts = np.ceil((high - low + 2 * room) / side).astype(int) + 1
    return Grid(low - room, side, (int(counts[0]), int(counts[1]), int(counts[2])))


def from_pointmaps(reconstruction: Reconstruction) -> Mesh:
    """One mesh of all pointmaps. Raises UserError where no pointmap has a trusted point, or all lie at one place."""
    cameras = {camera.photo: camera for camera in reconstruction.cameras}
    maps = [pointmap for pointmap in reconstruction.pointmaps if pointmap.photo in cameras and pointmap.mask.any()]
    if not maps:
        raise UserError("There are no depth maps to make a mesh of: reconstruct with an engine that has dense depth.")
    maps = [maps[i] for i in np.unique(np.linspace(0, len(maps) - 1, FUSED_MAPS).astype(int))]
    grid = _grid(np.concatenate([pointmap.points[pointmap.mask][::16] for pointmap in maps]))
    views = [(cameras[pointmap.photo], pointmap, pointmap.depth(cameras[pointmap.photo])) for pointmap in maps]
    distance, weight = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    for layer in range(grid.shape[0]):
        centres = grid.centres(layer)
        for camera, pointmap, depth in views:
            signed, known = _signed_distance(centres, camera, pointmap, depth, TRUNCATION * grid.side)
            distance[layer] += np.where(known, signed, 0).reshape(grid.shape[1:])
            weight[layer] += known.reshape(grid.shape[1:])
    with np.errstate(invalid="ignore"):
        return surface(distance / weight, grid)


def _signed_distance(
    centres: FloatArray, camera: Camera, pointmap: PointMap, depth: FloatArray, reach: float
) -> tuple[Array, Array]:
    """(N,) how far each centre is in front of the surface of a depth map, in units of `reach`, and where it is known.

    The distance is at most 1, and negative behind the surface. It is unknown outside the map, at pixels that are not
    trusted, and more than `reach` behind the surface, where the surface hides everything.
    """
    height, width = depth.shape
    row = camera.camera_from_world[2]
    along = centres @ row[:3] + row[3]
    with np.errstate(invalid="ignore"):
        pixels = camera.project(centres)
        scale, offset = pointmap.photo_from_map[:2], pointmap.photo_from_map[2:]
        map_pixels = np.floor((pixels - offset) / scale)
        inside = (map_pixels >= 0).all(axis=1) & (map_pixels < (width, height)).all(axis=1) & (along > 0)
    x, y = np.where(inside[:, None], map_pixels, 0).astype(int).T
    signed = (depth[y, x] - along) / reach
    known = inside & pointmap.mask[y, x] & (signed > -1)
    return np.minimum(signed, 1).astype(np.float32), known


def from_splats(gaussians: Gaussians) -> Mesh:
    """A mesh around the places where splats are dense. Raises UserError where they are nowhere dense.

    Each splat adds its opacity to seven cells, a seventh to each: at its mean, and one standard deviation to both sides
    along each of its axes. Then each cell's sum is spread to the neighbouring cells.
    """
    solid = gaussians.opacities > FAINT
    means, opacities = gaussians.means[solid], gaussians.opacities[solid]
    if not len(means):
        raise UserError("These splats are too faint to make a mesh of.")
    grid = _grid(means)
    axes = matrices_from_wxyz(gaussians.rotations[solid]) * gaussians.scales[solid][:, None]  # columns
    density = np.zeros(grid.shape, np.float32)
    for offset in np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)]):
        cells = np.rint((means + axes @ offset - grid.origin) / grid.side).astype(int)
        inside = (cells >= 0).all(axis=1) & (cells < grid.shape).all(axis=1)
        np.add.at(density, tuple(cells[inside].T), opacities[inside] / 7)
    for axis in range(3):
        density = _blurred(density, axis)
    mesh = surface(DENSE - np.minimum(density, 1), grid)
    if not len(mesh.faces):
        raise UserError("These splats lie too thinly to make a mesh of.")
    return mesh


def _blurred(density: Array, axis: int) -> Array:
    """Each cell's density, plus half of that of its two neighbours along an axis."""
    spread = density.copy()
    first, last = ([slice(None)] * 3 for _ in range(2))
    first[axis], last[axis] = slice(None, -1), slice(1, None)
    spread[tuple(last)] += density[tuple(first)] / 2
    spread[tuple(first)] += density[tuple(last)] / 2
    return spread


def surface(field: Array, grid: Grid) -> Mesh:
    """The mesh of the zero level of `field` (grid.shape), whose values stand at the cells' centres.

    Positive values are outside of the surface, negative ones inside, NaN ones unknown. Eight neighbouring cells'
    centres are the corners of a cube. Each cube whose corners lie on both sides has a vertex. Each edge from one side
    to the other has a face: the quad of the vertices of the four cubes around it.
    """
    negative = field < 0
    known = ~np.isnan(field)
    negative_corners = _corners(lambda part: negative[part]).sum(axis=0)
    mixed = _corners(lambda part: known[part]).all(axis=0) & (negative_corners > 0) & (negative_corners < 8)
    vertex = np.full(mixed.shape, -1, np.int64)  # of each cube, by index
    cubes = np.argwhere(mixed)
    vertex[mixed] = np.arange(len(cubes))
    faces = []
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        low, high = ([slice(None)] * 3 for _ in range(2))
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        start, end = negative[tuple(low)], negative[tuple(high)]
        edges = np.argwhere((start != end) & known[tuple(low)] & known[tuple(high)])
        across = edges[:, others]
        edges = edges[(across > 0).all(axis=1) & (across < np.array(mixed.shape)[others]).all(axis=1)]
        around = []
        for step in ((1, 1), (0, 1), (0, 0), (1, 0)):  # the four cubes around the edge, in their order
            cube = edges.copy()
            cube[:, others] -= step
            around.append(vertex[tuple(cube.T)])
        quads = np.stack(around, axis=-1)
        # In this order, a quad faces the end of its edge for axes 0 and 2, and the start for axis 1. Those that then
        # face inside are reversed.
        inward = start[tuple(edges.T)] == (axis == 1)
        quads = np.where(inward[:, None], quads[:, ::-1], quads)
        faces.append(quads[(quads >= 0).all(axis=1)])
    quads = np.concatenate(faces)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return _used(grid.origin + grid.side * _crossings(field, cubes), triangles)


def _corners(pick: Callable[[tuple[slice, ...]], Array]) -> Array:
    """(8, …) the values that `pick` returns for the eight corners of the cubes between neighbouring cells' centres."""
    halves = (slice(None, -1), slice(1, None))
    return np.stack([pick((x, y, z)) for x in halves for y in halves for z in halves])


def _crossings(field: Array, cubes: Array) -> FloatArray:
    """(N, 3) the vertices of the `cubes` (N, 3), in sides of a cell from the first cell's centre: the mean of the
    points where the field is zero on the twelve edges of a cube."""
    total: Array = np.zeros((len(cubes), 3))
    count: Array = np.zeros(len(cubes))
    for axis in range(3):
        along = np.eye(3, dtype=int)[axis]
        others = [np.eye(3, dtype=int)[a] for a in range(3) if a != axis]
        for corner in (0 * along, others[0], others[1], others[0] + others[1]):
            start, end = (field[tuple((cubes + corner + step).T)] for step in (0 * along, along))
            with np.errstate(divide="ignore", invalid="ignore"):
                share = start / (start - end)
            crossed: Array = (start < 0) != (end < 0)
            total += crossed[:, None] * (corner + np.where(crossed, share, 0)[:, None] * along)
            count += crossed
    vertices: FloatArray = cubes + total / count[:, None]
    return vertices

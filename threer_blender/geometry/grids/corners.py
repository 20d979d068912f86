"""[R] Corners of checkerboards in a grey picture, to a few hundredths of a pixel. numpy only.

A corner is a saddle of the brightness: the determinant of the Hessian is negative there. It is refined to where the
gradients around it are at right angles to the way there (Förstner & Gülch, "A Fast Operator for Detection and Precise
Location of Distinct Points, Corners and Centres of Circular Features", 1987).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...model.arrays import Array, BoolArray, FloatArray

SIGMA = 2.0  # px; the smoothing before saddles are sought
WEAKEST = 0.06  # of the strongest saddles' response
MOST = 4000  # saddles that are taken, the strongest
NEAREST = 4  # px between two of them
MARGIN = 6  # px from the picture's edge
STEPS = 12  # of the refinement
STRAY = 3.0  # px that the refinement may lead away, at most


@dataclass(frozen=True)
class Corners:
    """`pixels` (K, 2), the centre of the top-left pixel at (0.5, 0.5); `white` (K, 2) unit vectors towards a white
    field, up to their sign; `edges` (K, 2, 2) unit vectors along the two edges, up to their signs."""

    pixels: FloatArray
    white: FloatArray
    edges: FloatArray

    def __len__(self) -> int:
        return len(self.pixels)

    def only(self, chosen: BoolArray) -> Corners:
        """Some of them."""
        return Corners(self.pixels[chosen], self.white[chosen], self.edges[chosen])


def saddles(grey: FloatArray) -> Corners:
    """The saddles of a picture (H, W), to about a pixel, the strongest first."""
    smooth = blurred(grey, SIGMA)
    down, across = np.gradient(smooth)
    xy, xx = np.gradient(across)
    yy = np.gradient(down)[0]
    response = xy**2 - xx * yy
    strongest = np.sort(response.ravel())[-max(20, response.size // 5000) :]
    peak = response >= max(WEAKEST * float(np.median(strongest)), 1e-6)
    for shift_y in range(-NEAREST, NEAREST + 1):
        for shift_x in range(-NEAREST, NEAREST + 1):
            if shift_x or shift_y:
                peak &= response >= np.roll(response, (shift_y, shift_x), (0, 1))
    peak[:MARGIN] = peak[-MARGIN:] = False
    peak[:, :MARGIN] = peak[:, -MARGIN:] = False
    rows, columns = np.nonzero(peak)
    order = np.argsort(-response[rows, columns], kind="stable")[:MOST]
    rows, columns = rows[order], columns[order]
    hessian = np.stack([xx, xy, xy, yy], axis=-1)[rows, columns].reshape(-1, 2, 2)
    values, vectors = np.linalg.eigh(hessian) if len(rows) else (np.empty((0, 2)), np.empty((0, 2, 2)))
    white, black = vectors[:, :, 1], vectors[:, :, 0]  # the brightness rises along the first from the corner
    # Along the edges it does not change: between the two, nearer to the one that it changes less along.
    share = np.sqrt(np.maximum(values[:, 1], 0) / np.maximum(-values[:, 0], 1e-12))[:, None]
    edges = np.stack([white + share * black, white - share * black], axis=1)
    edges /= np.linalg.norm(edges, axis=2, keepdims=True)
    return Corners(np.column_stack([columns + 0.5, rows + 0.5]), white, edges)


def blurred(grey: FloatArray, sigma: float) -> FloatArray:
    """The picture (H, W) after a Gaussian blur; its edges go on as they are."""
    radius = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        padding = [(radius, radius) if each == axis else (0, 0) for each in (0, 1)]
        padded, out = np.pad(grey, padding, mode="edge"), np.zeros_like(grey)
        for offset, weight in enumerate(kernel):
            out += weight * (
                padded[offset : offset + len(grey)] if axis == 0 else padded[:, offset : offset + grey.shape[1]]
            )
        grey = out
    return grey


def refined(grey: FloatArray, pixels: FloatArray, radii: Array) -> FloatArray:
    """(K, 2) where the corners near `pixels` (K, 2) are, by the gradients within `radii` (K,); NaN where nothing is.

    A radius should stay within the four fields around a corner.
    """
    places = np.full((len(pixels), 2), np.nan)
    down, across = np.gradient(blurred(grey, 0.7))
    for radius in np.unique(radii):
        mine = np.flatnonzero(radii == radius)
        places[mine] = _refined(across, down, pixels[mine], int(radius))
    return places


def _refined(across: FloatArray, down: FloatArray, start: FloatArray, radius: int) -> FloatArray:
    offsets = np.arange(-radius, radius + 1)
    grid_y, grid_x = (each.ravel() for each in np.meshgrid(offsets, offsets, indexing="ij"))
    height, width = across.shape
    places = start.copy()
    for _ in range(STEPS):
        column = np.floor(places[:, 0]).astype(int).clip(radius, width - radius - 1)
        row = np.floor(places[:, 1]).astype(int).clip(radius, height - radius - 1)
        x, y = column[:, None] + grid_x, row[:, None] + grid_y
        gx, gy = across[y, x], down[y, x]
        to_x, to_y = x + 0.5 - places[:, :1], y + 0.5 - places[:, 1:]
        weight = np.exp(-2.0 * (to_x**2 + to_y**2) / radius**2)
        a, b, c = ((weight * each).sum(axis=1) for each in (gx * gx, gx * gy, gy * gy))
        right_x = (weight * (gx * gx * to_x + gx * gy * to_y)).sum(axis=1)
        right_y = (weight * (gx * gy * to_x + gy * gy * to_y)).sum(axis=1)
        determinant = a * c - b * b
        determinant = np.where(determinant > 1e-9 * (a + c) ** 2, determinant, np.nan)
        step = np.stack([c * right_x - b * right_y, a * right_y - b * right_x], axis=1) / determinant[:, None]
        places = np.where(np.isfinite(step), places + step.clip(-radius / 2, radius / 2), np.nan)
        places = np.where(
            np.linalg.norm(places - start, axis=1, keepdims=True) < max(STRAY, radius / 2), places, np.nan
        )
        if not np.isfinite(places).any() or np.nanmax(np.abs(step)) < 1e-4:
            break
        places = np.nan_to_num(places)  # a valid index for the next step, which leaves it lost
    places[(places == 0).all(axis=1)] = np.nan
    return places

"""[R] Corners of checkerboards in a grey picture, to a few hundredths of a pixel. numpy only.

A corner is a saddle of the brightness: the determinant of the Hessian is negative there. It is refined to the point
from which the vectors to the surrounding pixels are perpendicular to the gradients there (Förstner & Gülch, "A Fast
Operator for Detection and Precise Location of Distinct Points, Corners and Centres of Circular Features", 1987).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...model.arrays import Array, BoolArray, FloatArray

SIGMA = 2.0  # px: the blur before saddles are searched
WEAKEST = 0.06  # of the median response of the strongest pixels, one in 5000: weaker saddles are ignored
MOST = 4000  # saddles, the strongest, that are taken
NEAREST = 4  # px between two of them, at least
MARGIN = 6  # px from the picture's edge, at least
STEPS = 12  # of the refinement, at most
STRAY = 3.0  # px by which the refinement may move a corner, or half the radius where that is more


@dataclass(frozen=True)
class Corners:
    """K corners: their `pixels` (K, 2), the centre of the top-left pixel being (0.5, 0.5); `white` (K, 2) unit vectors
    towards a white square, up to their sign; `edges` (K, 2, 2) unit vectors along the two edges, up to their signs."""

    pixels: FloatArray
    white: FloatArray
    edges: FloatArray

    def __len__(self) -> int:
        return len(self.pixels)

    def only(self, chosen: BoolArray) -> Corners:
        """The `chosen` (K,) corners."""
        return Corners(self.pixels[chosen], self.white[chosen], self.edges[chosen])


def saddles(grey: FloatArray) -> Corners:
    """The saddles of a grey picture (H, W), to about a pixel, the strongest first."""
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
    # From the corner, brightness rises along `white` and falls along `black`. Along the edges it does not change: they
    # lie between the two, nearer to the one along which it changes less.
    white, black = vectors[:, :, 1], vectors[:, :, 0]
    share = np.sqrt(np.maximum(values[:, 1], 0) / np.maximum(-values[:, 0], 1e-12))[:, None]
    edges = np.stack([white + share * black, white - share * black], axis=1)
    edges /= np.linalg.norm(edges, axis=2, keepdims=True)
    return Corners(np.column_stack([columns + 0.5, rows + 0.5]), white, edges)


def blurred(grey: FloatArray, sigma: float) -> FloatArray:
    """The picture (H, W) after a Gaussian blur of `sigma` pixels; its border is repeated."""
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
    """(K, 2) the exact places of the corners near `pixels` (K, 2), by the gradients of the picture `grey` (H, W) within
    `radii` (K,) pixels; NaN where there is no corner.

    A radius should not reach beyond the four squares around a corner.
    """
    places = np.full((len(pixels), 2), np.nan)
    down, across = np.gradient(blurred(grey, 0.7))
    for radius in np.unique(radii):
        mine = np.flatnonzero(radii == radius)
        places[mine] = _refined(across, down, pixels[mine], int(radius))
    return places


def _refined(across: FloatArray, down: FloatArray, start: FloatArray, radius: int) -> FloatArray:
    """As `refined`, for corners of one radius, by the gradients `across` and `down` (H, W)."""
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
        # The normal equations [[a, b], [b, c]] step = right: the offsets, projected on the gradients.
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
        places = np.nan_to_num(places)  # 0 marks a lost corner and is a valid index; it becomes NaN at the end
    places[(places == 0).all(axis=1)] = np.nan
    return places

"""[S] Light and its codes: sRGB, Cineon's logarithm, PQ and HLG, and wide primaries brought to sRGB's."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from ..model.arrays import Array

Picture = npt.NDArray[np.uint8]
# Cineon: code values of 10 bits, of which 685 is white and 95 black, 0.002 density a step, gamma 0.6 (Kodak 1995).
WHITE, BLACK, DENSITY, GAMMA = 685, 95, 0.002, 0.6
PQ, HLG, GAMMA_22 = 16, 18, 4  # transfers of ITU-T H.273
ADOBE_RGB = 1998  # its primaries, which H.273 has no number for
HDR_WHITE = 203.0  # cd/m² of a white page (ITU-R BT.2408)
HLG_WHITE = 0.265  # of the largest light: a page's white, which is coded as 75 % (ITU-R BT.2408)
BAND = 1 << 15  # pixels
BRIGHTEST = 10_000 / HDR_WHITE  # PQ's largest value, in white pages
KNEE = 0.92  # of white: lights from it to PEAK are pressed into what is left, by their logarithms
PEAK = 4000 / HDR_WHITE  # brighter than what films are graded for, mostly
_SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
# Primaries of ITU-T H.273 that are much wider than sRGB's -> their chromaticities; the white is D65.
WIDE = {
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
    ADOBE_RGB: ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060)),
}
_D65 = (0.3127, 0.3290)


def linear(pixels: Array) -> Array:
    """sRGB from 0 to 255 -> float32 linear light (IEC 61966-2-1)."""
    share = np.asarray(pixels, np.float32) / 255
    light: Array = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return light


def displayed(light: Array) -> Picture:
    """Linear light -> 8-bit sRGB (IEC 61966-2-1); what is brighter than white is white."""
    light = np.nan_to_num(light, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)
    pixels: Picture = np.rint(curve * 255).astype(np.uint8)
    return pixels


def from_cineon(values: Array) -> Array:
    """Code values as shares of the largest -> linear light, 1 at white."""
    black = 10 ** ((BLACK - WHITE) * DENSITY / GAMMA)
    light: Array = (10 ** ((values * 1023 - WHITE) * (DENSITY / GAMMA)) - black) / (1 - black)
    return light


def is_srgb(transfer: int, primaries: int) -> bool:
    """Whether a picture with a transfer and primaries of ITU-T H.273 looks right as sRGB, or nearly so."""
    return transfer not in (PQ, HLG) and primaries not in WIDE


def to_srgb(codes: npt.NDArray[np.uint16], transfer: int, primaries: int) -> Picture:
    """(…, 3) full-range codes of a transfer and primaries of ITU-T H.273 -> 8-bit sRGB.

    HDR: a page's white (203 cd/m²) is nearly white, and what is brighter lies between the two. Colours outside sRGB
    are cut to it.
    """
    light_of, table = _light_of_codes(transfer), _display_table(transfer in (PQ, HLG))
    matrix = _from_primaries(primaries)
    pixels = np.empty(codes.shape, np.uint8)
    into, given = pixels.reshape(-1, 3), codes.reshape(-1, 3)
    for start in range(0, len(given), BAND):  # so few that they stay in the processor's cache
        light: Array = np.take(light_of, given[start : start + BAND]) @ matrix
        np.sqrt(light.clip(0, BRIGHTEST, out=light), out=light)
        np.multiply(light, np.float32(65535 / BRIGHTEST**0.5), out=light)
        into[start : start + BAND] = np.take(table, np.rint(light, out=light).astype(np.uint16))
    return pixels


@cache
def _from_primaries(primaries: int) -> Array:
    """(3, 3) float32: a row of linear light in these primaries times it is in sRGB's."""
    matrix = np.linalg.inv(_to_xyz(_SRGB)) @ _to_xyz(WIDE.get(primaries, _SRGB))
    return np.ascontiguousarray(matrix.T, np.float32)


@cache
def _light_of_codes(transfer: int) -> Array:
    """(65536,) float32: linear light by code, 1 at white."""
    codes: Array = np.linspace(0, 1, 65536)
    if transfer == PQ:  # SMPTE ST 2084
        power = codes ** (32 / 2523)
        ratio = np.maximum(power - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * power)
        light: Array = (ratio ** (8192 / 1305) * BRIGHTEST).astype(np.float32)
        return light
    if transfer == HLG:
        # ITU-R BT.2100: light of the scene. The gamma that it adds for a display of 1000 cd/m² is 1 for a display of
        # some 300 cd/m², which sRGB's is nearer to.
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)
        return (scene / HLG_WHITE).astype(np.float32)
    return (codes**2.2).astype(np.float32) if transfer == GAMMA_22 else linear(codes * 255)


@cache
def _display_table(pressed: bool) -> Picture:
    """(65536,) 8-bit sRGB by the root of linear light from 0 to BRIGHTEST; lights above KNEE pressed, or cut."""
    light: Array = np.linspace(0, 1, 65536) ** 2 * BRIGHTEST
    if pressed:
        above = np.log1p(np.maximum(light - KNEE, 0) / (1 - KNEE))
        light = np.minimum(light, KNEE) + (1 - KNEE) * above / np.log1p((PEAK - KNEE) / (1 - KNEE))
    return displayed(light)


def _to_xyz(primaries: tuple[tuple[float, float], ...]) -> Array:
    """(3, 3): linear RGB of these chromaticities and D65 -> XYZ."""
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([_D65[0] / _D65[1], 1.0, (1 - sum(_D65)) / _D65[1]])
    matrix: Array = columns * np.linalg.solve(columns, white)
    return matrix

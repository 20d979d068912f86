"""[S] Transfer functions and primaries: linear light from and to sRGB, Cineon, PQ and HLG, and wide gamuts to sRGB."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from ..model.arrays import Array, UInt8Array

# Cineon (Kodak 1995): 10-bit code values, white at 685 and black at 95, a density of 0.002 per step, gamma 0.6.
WHITE, BLACK, DENSITY, GAMMA = 685, 95, 0.002, 0.6
# H.273's transfer 1 is BT.709's, which is shown as sRGB here; 1 is the number of sRGB's primaries, too.
SRGB, PQ, HLG, GAMMA_22 = 1, 16, 18, 4  # transfers of ITU-T H.273
# H.273's transfers with light = code ** power. Its 5, with the power 2.8, is left out: players ignore it.
POWERS = {GAMMA_22: 2.2, 8: 1.0}
POWER = 1000  # our number for any other power, since H.273 has none, is this plus a hundred times the power
NEARLY_SRGB = (1.9, 2.5)  # powers between these look nearly right if taken as sRGB
ADOBE_RGB = 1998  # our number for Adobe RGB's primaries, since H.273 has none
HDR_WHITE = 203.0  # cd/m² of a white page (ITU-R BT.2408)
HLG_WHITE = 0.265  # light of a white page, coded as 75 %, as a share of the largest light (ITU-R BT.2408)
BAND = 1 << 15  # pixels that are converted at a time
BRIGHTEST = 10_000 / HDR_WHITE  # PQ's largest light, with a white page as 1
KNEE = 0.92  # light from KNEE to PEAK is compressed logarithmically to KNEE … 1
PEAK = 4000 / HDR_WHITE  # brighter than most films are graded for
_SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
# Primaries of ITU-T H.273 that are much wider than sRGB's -> their chromaticities; the white is D65.
WIDE = {
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
    ADOBE_RGB: ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060)),
}
_D65 = (0.3127, 0.3290)


def linear(pixels: Array) -> Array:
    """sRGB from 0 to 255 -> float32 linear light in [0, 1] (IEC 61966-2-1)."""
    share = np.asarray(pixels, np.float32) / 255
    light: Array = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return light


def displayed(light: Array) -> UInt8Array:
    """Linear light, 1 at white -> 8-bit sRGB (IEC 61966-2-1). Brighter light becomes white, NaN black."""
    light = np.nan_to_num(light, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)
    pixels: UInt8Array = np.rint(curve * 255).astype(np.uint8)
    return pixels


def from_cineon(values: Array) -> Array:
    """Cineon's code values as shares of the largest -> linear light, 1 at white."""
    black = 10 ** ((BLACK - WHITE) * DENSITY / GAMMA)
    light: Array = (10 ** ((values * 1023 - WHITE) * (DENSITY / GAMMA)) - black) / (1 - black)
    return light


def is_srgb(transfer: int, primaries: int) -> bool:
    """Whether a picture with this transfer and these primaries (ITU-T H.273) looks nearly right if taken as sRGB."""
    low, high = NEARLY_SRGB
    return transfer not in (PQ, HLG) and primaries not in WIDE and low < _power(transfer, default=2.2) < high


def power(exponent: float) -> int:
    """The number of the transfer with which light is a code to the power `exponent`, which is clipped to 0.1 to 10."""
    return POWER + round(100 * min(max(exponent, 0.1), 10.0))


def _power(transfer: int, default: float) -> float:
    """The exponent of a transfer that is a power; `default` for all others."""
    return (transfer - POWER) / 100 if transfer > POWER else POWERS.get(transfer, default)


def to_srgb(codes: npt.NDArray[np.uint16], transfer: int, primaries: int) -> UInt8Array:
    """Full-range 16-bit codes (…, 3) of a transfer and primaries of ITU-T H.273 -> 8-bit sRGB.

    In HDR, a white page (203 cd/m²) becomes nearly white, and brighter light lies between that and white. Colours
    outside of sRGB are clipped.
    """
    light_of, table = _light_of_codes(transfer), _display_table(transfer in (PQ, HLG))
    matrix = _from_primaries(primaries)
    pixels = np.empty(codes.shape, np.uint8)
    flat_pixels, flat_codes = pixels.reshape(-1, 3), codes.reshape(-1, 3)
    for start in range(0, len(flat_codes), BAND):  # bands stay in the processor's cache
        light: Array = np.take(light_of, flat_codes[start : start + BAND]) @ matrix
        np.sqrt(light.clip(0, BRIGHTEST, out=light), out=light)  # the table goes by square roots
        np.multiply(light, np.float32(65535 / BRIGHTEST**0.5), out=light)
        flat_pixels[start : start + BAND] = np.take(table, np.rint(light, out=light).astype(np.uint16))
    return pixels


@cache
def _from_primaries(primaries: int) -> Array:
    """(3, 3) float32: multiplied by it, a row of linear RGB in these primaries becomes one in sRGB's."""
    matrix = np.linalg.inv(_to_xyz(_SRGB)) @ _to_xyz(WIDE.get(primaries, _SRGB))
    return np.ascontiguousarray(matrix.T, np.float32)


@cache
def _light_of_codes(transfer: int) -> Array:
    """(65536,) float32: code -> linear light, 1 at white."""
    codes: Array = np.linspace(0, 1, 65536)
    if transfer == PQ:  # SMPTE ST 2084
        power = codes ** (32 / 2523)
        ratio = np.maximum(power - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * power)
        light: Array = (ratio ** (8192 / 1305) * BRIGHTEST).astype(np.float32)
        return light
    if transfer == HLG:
        # ITU-R BT.2100, the scene's light. The gamma that BT.2100 adds for a display of 1000 cd/m² would be 1 for one
        # of about 300 cd/m², which is nearer to an sRGB display.
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)
        return (scene / HLG_WHITE).astype(np.float32)
    exponent = _power(transfer, default=0.0)
    return (codes**exponent).astype(np.float32) if exponent else linear(codes * 255)


@cache
def _display_table(is_hdr: bool) -> UInt8Array:
    """(65536,) square root of linear light, from 0 to that of BRIGHTEST in equal steps -> 8-bit sRGB.

    Where `is_hdr`, light above KNEE is compressed; else light above 1 is clipped.
    """
    light: Array = np.linspace(0, 1, 65536) ** 2 * BRIGHTEST
    if is_hdr:
        above = np.log1p(np.maximum(light - KNEE, 0) / (1 - KNEE))
        light = np.minimum(light, KNEE) + (1 - KNEE) * above / np.log1p((PEAK - KNEE) / (1 - KNEE))
    return displayed(light)


def _to_xyz(primaries: tuple[tuple[float, float], ...]) -> Array:
    """(3, 3): takes linear RGB with these chromaticities and the white D65 to XYZ."""
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([_D65[0] / _D65[1], 1.0, (1 - sum(_D65)) / _D65[1]])
    matrix: Array = columns * np.linalg.solve(columns, white)
    return matrix

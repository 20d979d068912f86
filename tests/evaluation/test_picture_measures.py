"""PSNR and SSIM are what a plain loop over windows gives."""

import math

import numpy as np
import pytest

from threer_blender.evaluation import picture_measures

RANDOM = np.random.default_rng(0)
FIRST = RANDOM.integers(0, 256, (14, 17, 3), np.uint8)
SECOND = np.clip(FIRST + 30 * RANDOM.standard_normal(FIRST.shape), 0, 255).astype(np.uint8)


def test_psnr() -> None:
    mean = float(((FIRST.astype(float) - SECOND) ** 2).mean()) / 255**2
    assert picture_measures.psnr(FIRST, SECOND) == pytest.approx(-10 * math.log10(mean))
    assert picture_measures.psnr(FIRST, FIRST) == math.inf
    mask = np.zeros(FIRST.shape[:2], bool)
    mask[3:9, 2:5] = True
    part = float(((FIRST[mask].astype(float) - SECOND[mask]) ** 2).mean()) / 255**2
    assert picture_measures.psnr(FIRST, SECOND, mask) == pytest.approx(-10 * math.log10(part))


def test_ssim() -> None:
    weights = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(weights, weights)
    window /= window.sum()
    values = []
    for channel in range(3):
        a, b = (each[..., channel] / 255 for each in (FIRST, SECOND))
        for y in range(14 - 10):
            for x in range(17 - 10):
                p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
                mp, mq = (window * p).sum(), (window * q).sum()
                vp, vq = (window * p * p).sum() - mp**2, (window * q * q).sum() - mq**2
                both = (window * p * q).sum() - mp * mq
                values.append((2 * mp * mq + 1e-4) * (2 * both + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))
    assert picture_measures.ssim(FIRST, SECOND) == pytest.approx(np.mean(values), abs=1e-9)
    assert picture_measures.ssim(FIRST, FIRST) == pytest.approx(1)

"""[R] Robust losses: the cost of a residual's length, and its weight in least squares. numpy only.

A loss rho(r) is minimised by least squares whose weights w(r) = rho'(r) / r are updated in every step (iteratively
reweighted least squares; Triggs et al., "Bundle Adjustment - A Modern Synthesis", 2000, 4.3, to first order).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..model.arrays import FloatArray


class Loss(Protocol):
    """A function of the residuals' lengths r >= 0, in arrays of any shape."""

    def cost(self, length: FloatArray) -> FloatArray:
        """rho(r) of each residual."""

    def weight(self, length: FloatArray) -> FloatArray:
        """rho'(r) / r of each residual."""


@dataclass(frozen=True)
class Cauchy:
    """½ s² log(1 + (r / s)²): about ½ r² below the `scale` s, ever flatter beyond it. `scale` is one number, or one for
    each residual."""

    scale: float | FloatArray = 1.0

    def cost(self, length: FloatArray) -> FloatArray:
        cost: FloatArray = 0.5 * self.scale**2 * np.log1p((length / self.scale) ** 2)
        return cost

    def weight(self, length: FloatArray) -> FloatArray:
        weight: FloatArray = 1 / (1 + (length / self.scale) ** 2)
        return weight


@dataclass(frozen=True)
class GemanMcClure:
    """½ r² / (1 + (r / s)²): about ½ r² below the `scale` s, never more than ½ s². So residuals far beyond the scale
    have no influence. `scale` is one number, or one for each residual."""

    scale: float | FloatArray = 1.0

    def cost(self, length: FloatArray) -> FloatArray:
        cost: FloatArray = 0.5 * length**2 / (1 + (length / self.scale) ** 2)
        return cost

    def weight(self, length: FloatArray) -> FloatArray:
        weight: FloatArray = 1 / (1 + (length / self.scale) ** 2) ** 2
        return weight


@dataclass(frozen=True)
class Power:
    """r^p / p for an `exponent` p from 1 to 2. A residual below `smallest` gets the weight of one of that length."""

    exponent: float
    smallest: float | FloatArray

    def cost(self, length: FloatArray) -> FloatArray:
        cost: FloatArray = length**self.exponent / self.exponent
        return cost

    def weight(self, length: FloatArray) -> FloatArray:
        weight: FloatArray = np.maximum(length, self.smallest) ** (self.exponent - 2)
        return weight

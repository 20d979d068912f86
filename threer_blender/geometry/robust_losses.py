"""[R] Robust losses: the cost of a residual's length, and the weight that makes a square of it. numpy only.

A loss rho(r) is minimised by squares that are weighed anew in every step, w(r) = rho'(r) / r (iteratively reweighted
least squares; Triggs et al., "Bundle Adjustment - A Modern Synthesis", 2000, 4.3, to first order).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..model.arrays import FloatArray


class Loss(Protocol):
    """A function of the residuals' lengths, of any shape; near zero half their square."""

    def cost(self, length: FloatArray) -> FloatArray:
        """rho(r) of each residual."""

    def weight(self, length: FloatArray) -> FloatArray:
        """rho'(r) / r of each residual."""


@dataclass(frozen=True)
class Cauchy:
    """½ s² log(1 + (r / s)²): grows ever slower beyond the `scale` s. A scale for each residual may be given."""

    scale: float | FloatArray = 1.0

    def cost(self, length: FloatArray) -> FloatArray:
        cost: FloatArray = 0.5 * self.scale**2 * np.log1p((length / self.scale) ** 2)
        return cost

    def weight(self, length: FloatArray) -> FloatArray:
        weight: FloatArray = 1 / (1 + (length / self.scale) ** 2)
        return weight


@dataclass(frozen=True)
class GemanMcClure:
    """½ r² / (1 + (r / s)²): never more than ½ s², so that what is far beyond the `scale` s counts nothing."""

    scale: float | FloatArray = 1.0

    def cost(self, length: FloatArray) -> FloatArray:
        cost: FloatArray = 0.5 * length**2 / (1 + (length / self.scale) ** 2)
        return cost

    def weight(self, length: FloatArray) -> FloatArray:
        weight: FloatArray = 1 / (1 + (length / self.scale) ** 2) ** 2
        return weight


@dataclass(frozen=True)
class Power:
    """r^p / p for an `exponent` p of 1 to 2. A residual below `smallest` is weighed as one of that length."""

    exponent: float
    smallest: float | FloatArray

    def cost(self, length: FloatArray) -> FloatArray:
        cost: FloatArray = length**self.exponent / self.exponent
        return cost

    def weight(self, length: FloatArray) -> FloatArray:
        weight: FloatArray = np.maximum(length, self.smallest) ** (self.exponent - 2)
        return weight

"""[S] Compares two evaluations: which measures got better and worse. Stdlib."""

from __future__ import annotations

from dataclasses import dataclass

from .outcome import DEGREES, HIGHER, SHARE, Evaluation, Measure, value_text

TOLERANCE = 0.02  # by default
# Differences that are too small to matter, by unit: the values themselves are near 0 there.
NEGLIGIBLE = {SHARE: 1e-4, DEGREES: 1e-2}
BETTER, WORSE, SAME, GONE, NEW = "better", "worse", "same", "gone", "new"


@dataclass(frozen=True)
class Change:
    """The change of a measure: one of BETTER, WORSE, SAME, GONE (the second evaluation lacks it) and NEW. `before` and
    `after` are None where it is not there."""

    key: str
    kind: str
    before: Measure | None
    after: Measure | None

    def __str__(self) -> str:
        """The change in a line."""
        first, second = (("–" if each is None else value_text(each)) for each in (self.before, self.after))
        measure = self.before or self.after
        assert measure is not None
        return f"{self.kind}: {self.key} ({measure.label}): {first} → {second}"


def compare(before: Evaluation, after: Evaluation, tolerance: float = TOLERANCE) -> list[Change]:
    """The changes of all measures, the worst kinds first.

    A measure is worse where it has changed in the wrong direction by more than `tolerance`: of the range 0 to 1 for
    shares of which more is better, else of its first value. A value that is no longer defined is GONE, and
    one that was not defined before is NEW.
    """
    first, second = before.values(), after.values()
    changes = [Change(key, _kind(one, second.get(key), tolerance), one, second.get(key)) for key, one in first.items()]
    changes += [Change(key, NEW, None, each) for key, each in second.items() if key not in first]
    order = [GONE, WORSE, BETTER, NEW, SAME]
    return sorted(changes, key=lambda change: order.index(change.kind))


def _kind(before: Measure, after: Measure | None, tolerance: float) -> str:
    if before.value is None:
        return SAME if after is None or after.value is None else NEW
    if after is None or after.value is None:
        return GONE
    gain = after.value - before.value if before.better == HIGHER else before.value - after.value
    margin = max(tolerance * abs(before.value), NEGLIGIBLE.get(before.unit, 0.0))
    if before.unit == SHARE and before.better == HIGHER:
        margin = tolerance
    if gain < -margin:
        return WORSE
    return BETTER if gain > margin else SAME


def is_worse(changes: list[Change]) -> bool:
    """Whether a measure is worse, or gone."""
    return any(change.kind in (WORSE, GONE) for change in changes)

"""A measure is better or worse by its own direction, beyond the tolerance."""

import pytest

from threer_blender.evaluation.comparison import BETTER, GONE, NEW, SAME, WORSE, compare, is_worse
from threer_blender.evaluation.outcome import DEGREES, HIGHER, LOWER, SHARE, Evaluation, Group, Measure


def evaluation(**measures: Measure) -> Evaluation:
    return Evaluation({}, {"group": Group("", "", measures)})


@pytest.mark.parametrize(
    ("before", "after", "unit", "better", "kind"),
    [
        (0.90, 0.95, SHARE, HIGHER, BETTER),
        (0.90, 0.87, SHARE, HIGHER, WORSE),
        (0.90, 0.89, SHARE, HIGHER, SAME),
        (0.010, 0.011, SHARE, LOWER, WORSE),  # a tenth of a small error counts
        (2.0, 1.9, "m", LOWER, BETTER),
        (2.0, 2.03, "m", LOWER, SAME),
        (2.0, 2.1, "m", LOWER, WORSE),
        (0.001, 0.005, DEGREES, LOWER, SAME),  # too small to matter
        (30.0, 29.0, "dB", HIGHER, WORSE),
        (1.0, None, "m", LOWER, GONE),
        (None, 1.0, "m", LOWER, NEW),
        (None, None, "m", LOWER, SAME),
    ],
)
def test_kinds(before: float | None, after: float | None, unit: str, better: str, kind: str) -> None:
    first, second = (evaluation(a=Measure("A", value, unit, better)) for value in (before, after))
    changes = compare(first, second)
    assert [change.kind for change in changes] == [kind]
    assert is_worse(changes) == (kind in (WORSE, GONE))


def test_measures_that_come_and_go() -> None:
    first, second = evaluation(a=Measure("A", 1.0, "m")), evaluation(b=Measure("B", 2.0, "m"))
    changes = compare(first, second)
    assert [str(change) for change in changes] == ["gone: group.a (A): 1 m → –", "new: group.b (B): – → 2 m"]
    assert is_worse(changes)


def test_a_wider_tolerance() -> None:
    first, second = (evaluation(a=Measure("A", value, "m")) for value in (1.0, 1.2))
    assert not is_worse(compare(first, second, tolerance=0.25))

"""An evaluation survives its JSON, and nothing else is taken for one."""

import json

import pytest

from threer_blender.evaluation import outcome
from threer_blender.evaluation.outcome import DEGREES, HIGHER, SHARE, Evaluation, Group, Measure, PhotoRow
from threer_blender.files.bounded import Damaged

MEASURES = {
    "auc_5": Measure("AUC@5", 0.75, SHARE, HIGHER),
    "rotation": Measure("Rotation", 1.5, DEGREES),
    "none": Measure("Nothing", None, "m"),
}
EVALUATION = Evaluation(
    {"Engine": "colmap"},
    {"pose": Group("Relative poses", "A protocol.", MEASURES)},
    [PhotoRow("ü.jpg", True, {"Centre": 0.25, "Depth": None}), PhotoRow("b.jpg", False, {})],
    ["A note."],
)


def test_round_trip() -> None:
    assert outcome.from_json(outcome.as_json(EVALUATION).encode()) == EVALUATION


def test_numbers_that_are_none_are_null() -> None:
    groups = {"pose": Group("", "", {"a": Measure("A", float("nan"), SHARE), "b": Measure("B", float("inf"), "dB")})}
    read = outcome.from_json(outcome.as_json(Evaluation({}, groups)).encode())
    assert [each.value for each in read.values().values()] == [None, None]


@pytest.mark.parametrize(
    "change", [{"generator": "x"}, {"version": 2}, {"groups": 3}, {"photos": [{}]}, {"notes": [1]}]
)
def test_other_files_are_refused(change: dict[str, object]) -> None:
    document = {**json.loads(outcome.as_json(EVALUATION)), **change}
    with pytest.raises(Damaged):
        outcome.from_json(json.dumps(document).encode())


def test_values_for_people() -> None:
    texts = [outcome.value_text(each) for each in MEASURES.values()]
    assert texts == ["75.00%", "1.500°", "–"]

"""Every engine's declaration is complete, and options are checked before an engine runs."""

import inspect
import re
from pathlib import Path

import pytest

from threer_blender.engines import registry
from threer_blender.model.engine import GROUPS, Engine, Option
from threer_blender.model.errors import UserError

ENGINES = registry.engines()


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_declaration(engine: Engine) -> None:
    assert engine.label
    assert engine.summary.endswith(".")
    assert engine.licence
    assert (engine.group in GROUPS) != (engine.id == "refine")  # which works on a result
    assert engine.produces <= {"cameras", "pointmaps", "cloud", "gaussians"}
    assert list(inspect.signature(registry.reconstruct_of(engine.id)).parameters) == ["photos", "options", "report"]
    assert engine.checked_options({}) == {option.name: option.default for option in engine.options}
    for option in engine.options:
        assert option.tooltip.endswith(".")
        assert option.checked(option.default) == option.default
    for weights in engine.weights:
        assert weights.url.startswith("https://")
        assert weights.terms_url.startswith("https://")
        assert weights.by_hand or Path(weights.name).suffix == Path(weights.url).suffix
        assert not weights.sha256 or re.fullmatch("[0-9a-f]{64}", weights.sha256)
        assert weights.family
        assert weights.licence


def test_weights_of_one_name_are_one_file() -> None:
    declared = {weights for engine in ENGINES.values() for weights in engine.weights}
    assert len({weights.name for weights in declared}) == len(declared)


def test_the_default_engine_is_there_and_free() -> None:
    assert ENGINES["colmap"].commercial
    assert not ENGINES["colmap"].weights


OPTIONS = Engine(
    "x", "X", "x.", "MIT", True, frozenset(), (), (
        Option("count", 5, "Count", "Tip.", minimum=1, maximum=9),
        Option("ratio", 0.5, "Ratio", "Tip."),
        Option("on", False, "On", "Tip."),
        Option("menu", "a", "Menu", "Tip.", choices={"a": "A", "b": "B"}),
        Option("extra", False, "Extra", "Tip.", requires=("no_such_module",)),
    ),
)  # fmt: skip


@pytest.mark.parametrize("value", [7.5, float("inf"), float("nan")])
def test_a_whole_number_is_no_other_number(value: float) -> None:
    with pytest.raises(UserError, match=r"Count: .* is not a value for it"):
        OPTIONS.checked_options({"count": value})


def test_values_from_a_command_line_are_typed() -> None:
    checked = OPTIONS.checked_options({"count": "7", "ratio": "0.25", "on": "true", "menu": "b"})
    assert checked == {"count": 7, "ratio": 0.25, "on": True, "menu": "b", "extra": False}


@pytest.mark.parametrize(
    "values",
    [
        {"count": 0},
        {"count": "many"},
        {"on": "maybe"},
        {"menu": "c"},
        {"nonsense": 1},
        {"ratio": "nan"},
    ],
)
def test_wrong_values_are_refused_in_a_sentence(values: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"\.$"):
        OPTIONS.checked_options(values)


def test_unknown_engine_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="colmap"):
        registry.engine("colmop")

"""[S] The outcome of an evaluation: measures in groups, each with its protocol, and a row for each photo. Stdlib."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import __version__
from ..files import bounded, checked
from ..files.bounded import Damaged

GENERATOR = "threer_blender evaluation"
VERSION = 1  # of the JSON
LOWER, HIGHER = "lower", "higher"  # which values are better
SHARE, DEGREES, DECIBELS, PIXELS = "share", "degrees", "dB", "px"  # units, beside those of length


@dataclass(frozen=True)
class Measure:
    """A number: its `label` for people, its `value`, None where it is not defined, its `unit`, and which values are
    `better`, LOWER or HIGHER."""

    label: str
    value: float | None
    unit: str
    better: str = LOWER


@dataclass(frozen=True)
class Group:
    """The measures of one protocol by key. `protocol` says in a sentence or two how they are made, and whose they
    are."""

    title: str
    protocol: str
    measures: Mapping[str, Measure]


@dataclass(frozen=True)
class PhotoRow:
    """The errors of one photo, by the labels of columns; None where a photo has none."""

    photo: str
    registered: bool
    errors: Mapping[str, float | None]


@dataclass(frozen=True)
class Evaluation:
    """An evaluation. `facts` are texts about the result and the truth by label. `photos` stand worst first, and
    `notes` are sentences."""

    facts: Mapping[str, str]
    groups: Mapping[str, Group]
    photos: Sequence[PhotoRow] = ()
    notes: Sequence[str] = field(default_factory=list)

    def values(self) -> dict[str, Measure]:
        """All measures, by their group's key and their own with a dot between."""
        return {
            f"{group}.{key}": measure for group, each in self.groups.items() for key, measure in each.measures.items()
        }


def defined(value: float | None) -> float | None:
    """The value; None where it is no finite number."""
    return float(value) if value is not None and math.isfinite(value) else None


def as_json(evaluation: Evaluation) -> str:
    """The evaluation as JSON text."""
    document = {
        "generator": GENERATOR,
        "version": VERSION,
        "threer_blender": __version__,
        "facts": dict(evaluation.facts),
        "groups": {
            name: {
                "title": group.title,
                "protocol": group.protocol,
                "measures": {
                    key: {"label": each.label, "value": defined(each.value), "unit": each.unit, "better": each.better}
                    for key, each in group.measures.items()
                },
            }
            for name, group in evaluation.groups.items()
        },
        "photos": [
            {
                "photo": row.photo,
                "registered": row.registered,
                "errors": {label: defined(error) for label, error in row.errors.items()},
            }
            for row in evaluation.photos
        ],
        "notes": list(evaluation.notes),
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: bytes) -> Evaluation:
    """The evaluation in a JSON text that `as_json` made. Raises Damaged."""
    data = bounded.parsed(text)
    if not isinstance(data, dict) or data.get("generator") != GENERATOR:
        raise Damaged("is no evaluation; make one with the verb evaluate")
    if data.get("version") != VERSION:
        raise Damaged("is an evaluation of another version; evaluate the result again")
    with bounded.as_damage("is damaged; evaluate the result again"):
        return Evaluation(
            facts={key: checked.typed(text, str) for key, text in data["facts"].items()},
            groups={key: _group(group) for key, group in checked.typed(data["groups"], dict).items()},
            photos=[_row(row) for row in data["photos"]],
            notes=[checked.typed(note, str) for note in data["notes"]],
        )


def _group(data: dict[str, Any]) -> Group:
    measures = {
        key: Measure(
            checked.typed(each["label"], str),
            checked.optional(each["value"]),
            checked.typed(each["unit"], str),
            {LOWER: LOWER, HIGHER: HIGHER}[each["better"]],
        )
        for key, each in data["measures"].items()
    }
    return Group(checked.typed(data["title"], str), checked.typed(data["protocol"], str), measures)


def _row(data: dict[str, Any]) -> PhotoRow:
    errors = {label: checked.optional(error) for label, error in data["errors"].items()}
    return PhotoRow(checked.typed(data["photo"], str), checked.typed(data["registered"], bool), errors)


def value_text(measure: Measure) -> str:
    """A measure's value and unit for people."""
    return text_of(measure.value, measure.unit)


def text_of(value: float | None, unit: str) -> str:
    """A value of a unit for people."""
    if value is None or not math.isfinite(value):
        return "–"
    if unit == SHARE:
        return f"{value:.2%}"
    if unit == DEGREES:
        return f"{value:.3f}°"
    return f"{value:.4g} {unit}".rstrip()

"""[S] The verb `compare`: how the cameras of one result differ from those of another, of the same photos."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from .. import headless


def add_verb(verbs: Any) -> None:
    """Adds the verb to those of a parser."""
    verb = verbs.add_parser("compare", help="how one result's cameras differ from another's, of the same photos")
    verb.add_argument("result", metavar="FOLDER", help="the bundle of a result, which is brought onto the reference")
    verb.add_argument("reference", metavar="REFERENCE", help="the bundle of the result that it is compared with")
    verb.add_argument("--json", action="store_true", help="print the similarity and all cameras as JSON")
    verb.set_defaults(run=_compare)


def _compare(parsed: argparse.Namespace) -> None:
    comparison = headless.compare(parsed.result, parsed.reference)
    if parsed.json:
        content = {
            "reference_from_result": comparison.alignment.target_from_source.tolist(),
            "notes": comparison.sentences(),
            "cameras": [camera._asdict() for camera in comparison.cameras],
            "only_result": comparison.alone[0],
            "only_reference": comparison.alone[1],
        }
        sys.stdout.write(json.dumps(content) + "\n")
        return
    sys.stdout.write("\n".join([*comparison.sentences(), "", comparison.table()]))

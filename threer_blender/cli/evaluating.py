"""[S] The verb `evaluate`: judges a result by the truth, or compares two evaluations."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .. import headless
from ..evaluation import outcome
from ..evaluation.comparison import SAME, TOLERANCE, compare, is_worse
from ..evaluation.outcome import Evaluation, value_text
from ..files import bundle_folder
from ..model.errors import UserError, quoted
from . import exit_status


def add_verb(verbs: Any) -> None:
    """Adds the verb to those of a parser."""
    verb = verbs.add_parser("evaluate", help="judge a result by the truth: the measures of papers, and a page")
    verb.add_argument("result", nargs="?", metavar="FOLDER", help="the bundle of a result")
    verb.add_argument("--truth", metavar="FOLDER", help="true cameras, depth or points in a benchmark's own files")
    verb.add_argument("--output", metavar="HTML", help="the page; its numbers go beside it as JSON")
    verb.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="print what is better and worse in B; each is an evaluation's JSON or, with --truth, a bundle",
    )
    verb.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        metavar="SHARE",
        help="how much worse a measure of B may be; default: %(default)s",
    )
    verb.add_argument("--json", action="store_true", help="print the numbers as JSON")
    verb.set_defaults(run=_evaluate)


def _evaluate(parsed: argparse.Namespace) -> int:
    if parsed.compare:
        return _compare(parsed)
    if not parsed.result or not parsed.truth:
        raise UserError("evaluate wants the bundle of a result and --truth FOLDER, or --compare A B.")
    evaluation = headless.evaluate(parsed.result, parsed.truth, parsed.output, parsed.on_message, parsed.data_folder)
    sys.stdout.write(outcome.as_json(evaluation) if parsed.json else _table(evaluation))
    if parsed.output and not parsed.json:
        for path in headless.report_paths(parsed.output):
            sys.stdout.write(f"written: {path}\n")
    return 0


def _table(evaluation: Evaluation) -> str:
    """The measures for people, a line each."""
    lines = [f"{label}: {text}" for label, text in evaluation.facts.items()]
    for group in evaluation.groups.values():
        lines.append(group.title)
        lines += [f"  {measure.label:<40} {value_text(measure):>12}" for measure in group.measures.values()]
    return "\n".join([*lines, *evaluation.notes]) + "\n"


def _compare(parsed: argparse.Namespace) -> int:
    """Prints the changes. Returns WORSE where a measure is worse."""
    if parsed.result or parsed.output:
        raise UserError("--compare takes two evaluations alone: leave the result and --output out.")
    if not parsed.tolerance >= 0:
        raise UserError("--tolerance wants a share of 0 or more, as 0.02.")
    before, after = (_evaluation(Path(each), parsed) for each in parsed.compare)
    changes = compare(before, after, parsed.tolerance)
    same = sum(change.kind == SAME for change in changes)
    lines = [str(change) for change in changes if change.kind != SAME]
    lines.append(f"{same} of {len(changes)} measures are the same within the tolerance.")
    sys.stdout.write("\n".join(lines) + "\n")
    return exit_status.WORSE if is_worse(changes) else exit_status.OK


def _evaluation(path: Path, parsed: argparse.Namespace) -> Evaluation:
    """The evaluation in a JSON file, or of the result in a folder. Raises UserError."""
    if path.is_dir() and bundle_folder.is_bundle(path.absolute()):
        if not parsed.truth:
            raise UserError(f"{quoted(path)} is a result: give --truth FOLDER to evaluate it, or give its evaluation.")
        return headless.evaluate(path, parsed.truth, None, parsed.on_message, parsed.data_folder)
    return headless.read_evaluation(path)

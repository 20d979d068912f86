"""[R] Judges a result by the truth, and writes the page and its numbers."""

from __future__ import annotations

from pathlib import Path

from .. import bundle
from ..evaluation import evaluate, outcome, page, pictures, surfaces
from ..evaluation.truth import reading
from ..jobs.messages import Evaluate, Finished
from ..model.engine import Stage
from ..model.errors import quoted
from ..reports import files
from ..runtime.report import MessageReport

DEPTHS = Stage("depths", "Reading the true depth", 3)
JUDGING = Stage("judging", "Judging", 2)
MOST_PICTURES = 24  # photos whose depth the page shows


def run(request: Evaluate, report: MessageReport) -> Finished:
    """Writes the evaluation. Raises UserError where there is no result or no truth, or the two do not fit."""
    report.plan([DEPTHS, JUDGING])
    folder, truth_folder = Path(request.bundle).absolute(), Path(request.truth).absolute()
    result, truth = bundle.read(folder), reading.read(truth_folder)
    judged = evaluate.judge(result, folder, truth, truth_folder, lambda done, total: report(DEPTHS, done, total))
    report(JUDGING, 0, 1)
    rank = {row.photo: number for number, row in enumerate(judged.evaluation.photos)}
    worst = sorted(judged.depths, key=lambda depth: rank[depth.photo])[:MOST_PICTURES]
    photos = {photo.name: photo for photo in result.photos}
    displayed = pictures.depth_pictures(worst, surfaces.common_scale(judged.depths), photos)
    written, _ = files.write_texts(
        Path(request.output), page.page(judged, displayed), outcome.as_json(judged.evaluation), outcome.GENERATOR
    )
    return Finished(f"The evaluation is {quoted(written)}.")

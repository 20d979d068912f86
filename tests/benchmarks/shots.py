"""Does it stick? Camera tracking on rendered shots with exact truth, beside Blender's own (libmv).

    nox -s benchmarks -- shots          all of them
    python -m tests.benchmarks.shots walk … --side ours   some, by one side

The plate alone goes in, through the public call. Shots are rendered on demand (tests/data/make_shots.py). Ours is
given the read-out time of a rolling shutter, and nothing else. libmv knows the pixel aspect and which shots are nodal,
as it does not find out; it knows no zoom.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.benchmarks._measure import machine, measured, table
from tests.benchmarks._shot_scores import ShotScores, camera_of, scores
from tests.data import make_shots, shot_moves

# Programs that `measured` runs in a child process. It gives them json, sys and `end`, which returns their results.
SOLVE = """
import dataclasses
OPTIONS = {"quality": "preview", "points": False}
from threer_blender import headless
from threer_blender.model.errors import UserError
def plain(camera):
    pose = camera.world_from_camera.tolist()
    return {**dataclasses.asdict(camera), "world_from_camera": pose, "median_error": camera.reprojection_error}
try:
    result = headless.reconstruct([sys.argv[1]], sys.argv[2], options={**OPTIONS, "read_out": sys.argv[3]})
except (UserError, RuntimeError) as error:
    end(refused=str(error))
else:
    if result.shots:
        shot = result.shots[0]
        errors = {name: getattr(shot, name).tolist() for name in ("median_error", "p95_error", "worst_error")
                  if getattr(shot, name) is not None}
        end(cameras={n: plain(c) for n, c in shot.cameras.items()}, move=shot.motion, errors=errors)
    else:
        end(refused=" ".join(["No shot was solved.", *result.notes]))
"""
LIBMV = """
import subprocess
command = [sys.executable, sys.argv[1], *sys.argv[2:]]
done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
if done.returncode:
    end(refused=f"Blender ended with {done.returncode}.")
else:
    end(**json.loads(done.stdout.splitlines()[-1]))
"""
HEAD = [
    "Shot",
    "Side",
    "Frames",
    "Kind",
    "Reprojection median / p95 / worst frame, px",
    "Path ATE, %",
    "Rotation, °",
    "Focal, %",
    "Slip median / p95 / worst frame, px",
    "Jitter, px",
    "Offset",  # frames by which the solution is shifted in time
    "Mask IoU",
    "CPU-s",
]


def reprojection(case: dict[str, Any]) -> str:
    """The reprojection errors that a side reports: medians over the frames, and the worst frame's median."""
    medians = [camera["median_error"] for camera in case["cameras"].values()]
    medians = case.get("errors", {}).get("median_error", medians)
    known = np.array([np.nan if each is None else each for each in medians], float)
    if not np.isfinite(known).any():
        return ""
    p95 = case.get("errors", {}).get("p95_error")
    spread = "–" if p95 is None else f"{np.nanmedian(p95):.2f}"
    return f"{np.nanmedian(known):.2f} / {spread} / {np.nanmax(known):.2f}"


def numbers(measure: ShotScores) -> list[str]:
    """The cells from the path's error on. Where the true camera stands still, the first cell is how far the solved one
    moves, in median depths."""
    path = f"{measure.ate:.3f}" if np.isfinite(measure.ate) else f"moved {measure.travel:.1g}"
    slip = " / ".join(f"{each:.2f}" for each in measure.slip)
    return [
        path,
        f"{measure.rotation:.3f}",
        f"{measure.focal:.2f}",
        slip,
        f"{measure.jitter:.3f}",
        f"{measure.offset:+d}",
    ]


def row(name: str, side: str, case: dict[str, Any], truth: dict[str, Any]) -> list[str]:
    """A line of the table, or the refusal."""
    total, cpu = len(truth["frames"]), f"{case['cpu']:.0f}"
    solved = {int(number): camera_of(entry) for number, entry in case.get("cameras", {}).items()}
    if len(solved) < 3:
        refusal = case.get("refused", "It solved fewer than three frames.")
        return [name, side, f"{len(solved)}/{total}", refusal, *[""] * 8, cpu]
    verdict = {"": "not named", truth["kind"]: "right"}.get(case.get("move", ""), f"{case.get('move')}, wrong")
    kind = f"{truth['kind']}: {verdict}"
    measures = numbers(scores(solved, truth))
    return [name, side, f"{len(solved)}/{total}", kind, reprojection(case), *measures, case.get("overlap", ""), cpu]


def ours(name: str, truth: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        read_out = str(1000 * truth["read_out"])
        case = measured(SOLVE, str(make_shots.plate(name)), f"{folder}/result", read_out)
        return {**case, "overlap": overlap(name, Path(folder, "result", "masks"))}


def overlap(name: str, folder: Path) -> str:
    """Intersection over union of the solved masks of what moves and the true ones, over all frames.

    "none" where something moves and no mask was written; where nothing moves, the number of false masks, or "".
    """
    true = sorted((make_shots.folder(name) / "masks").glob("*.png"))
    solved = sorted(folder.glob("*.png"))
    if not true or not solved:
        return f"{len(solved)} false" if solved else "none" if true else ""
    pictures = [[np.asarray(Image.open(file)) > 127 for file in pair] for pair in zip(true, solved, strict=True)]
    both, either = (sum(int(op(a, b).sum()) for a, b in pictures) for op in (np.logical_and, np.logical_or))
    return f"{both / either:.2f}"


def libmv(name: str, truth: dict[str, Any]) -> dict[str, Any]:
    """Blender's solution, its frames renumbered as the plate's are, without cameras that are not finite."""
    script = Path(__file__).with_name("_libmv.py")
    case = measured(LIBMV, str(script), str(make_shots.plate(name)), truth["kind"], str(truth["pixel_aspect"]))
    first = truth["frames"][0]["number"]
    case["cameras"] = {
        int(number) + first - 1: camera
        for number, camera in case.get("cameras", {}).items()
        if np.isfinite([camera["fx"], *camera["distortion"]["params"], *np.ravel(camera["world_from_camera"])]).all()
    }
    return case


def rows(names: list[str], sides: list[str]) -> Iterator[list[str]]:
    for name in names:
        truth = make_shots.truth(name)
        cases = {"ours": ours, "libmv": libmv}
        for side in sides:
            yield row(name, side, cases[side](name, truth), truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[shot.name for shot in shot_moves.SHOTS], metavar="NAME")
    parser.add_argument("--side", choices=("ours", "libmv"), action="append", help="by default both")
    options = parser.parse_args()
    make_shots.ensure(options.names)
    print(f"{machine()}\n")
    table(HEAD, rows(options.names, options.side or ["ours", "libmv"]))


if __name__ == "__main__":
    main()

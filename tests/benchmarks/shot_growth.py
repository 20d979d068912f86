"""Does each frame of a longer shot cost more? CPU-time and memory, of everything and of camera tracking's solver alone.

    nox -s benchmarks -- shot_growth
    python -m tests.benchmarks.shot_growth [--only plate] FRAMES …

Plate: an encoded film of 960×540 pixels of a camera that moves to and fro in a painted room goes in, and cameras come
out: reading, choosing key frames, tracking, mapping, adjusting and saving, by the product's own worker.

Solver: the tracks of a camera that moves to and fro, about 400 in each frame, with key cameras every fifth frame.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import _long_plate
from tests.benchmarks._measure import machine, measured, table

# Both run after the preamble of `_measure.measured`, which imports sys, json and time and defines `end`.
PLATE = """
import numpy as np
from pathlib import Path
from threer_blender import headless
result = headless.reconstruct([sys.argv[1]], sys.argv[2], options={"quality": "preview", "points": False})
(shot,) = result.shots
end(keys=len(result.photos), solved=len(shot.cameras), kind=shot.motion, error=float(np.nanmedian(shot.median_error)))
"""

SOLVE = """
import numpy as np
from dataclasses import replace
from tests.geometry.shots import synthetic_shots
from threer_blender.geometry.shots import solver
frames = int(sys.argv[1])
def pose(i):
    centre = (1.2 * np.sin(0.06 * i), 0.2 * np.sin(0.23 * i), -1 + 0.4 * np.sin(0.031 * i))
    return synthetic_shots.look_at(centre, (0.3 * np.sin(0.05 * i), 0, 5))
shot = synthetic_shots.shot([pose(i) for i in range(frames)], points=100 * frames)
warm = synthetic_shots.shot([pose(i) for i in range(20)], points=1000)
for each in (warm, shot):
    begun = time.process_time()
    keys = {number: camera for number, camera in each.cameras.items() if number % 5 == 1}
    solution = solver.solve_moving(each.tracks, keys, "")
    spent = time.process_time() - begun
end(solved=len(solution.cameras), observations=len(shot.tracks.tracks.point), spent=spent,
    error=float(np.nanmedian(solution.errors.median)))
"""


PLATE_HEAD = ["Frames", "Key frames", "Kind", "Median error, px", "CPU-ms per frame", "Peak GiB"]
SOLVER_HEAD = ["Frames", "Observations", "Median error, px", "CPU-ms per frame", "Peak GiB"]


def plate_row(frames: int, folder: Path) -> list[str]:
    case = measured(PLATE, str(folder / f"{frames}.mp4"), str(folder / f"result{frames}"))
    return [
        f"{case['solved']}/{frames}",
        str(case["keys"]),
        case["kind"],
        f"{case['error']:.2f}",
        f"{1000 * case['cpu'] / frames:.0f}",
        f"{case['peak_gib']:.2f}",
    ]


def plates(counts: Sequence[int]) -> None:
    """Prints the table of the plates."""
    with tempfile.TemporaryDirectory() as folder:
        _long_plate.write(counts, Path(folder))
        table(PLATE_HEAD, (plate_row(frames, Path(folder)) for frames in counts))


def solver_row(frames: int) -> list[str]:
    case = measured(SOLVE, str(frames))
    return [
        f"{case['solved']}/{frames}",
        f"{case['observations']:,}",
        f"{case['error']:.2f}",
        f"{1000 * case['spent'] / frames:.0f}",
        f"{case['peak_gib']:.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("plate", "solver"))
    parser.add_argument("frames", nargs="*", type=int, default=[200, 500, 1000], metavar="FRAMES")
    arguments = parser.parse_args()
    print(f"{machine()}\n")
    if arguments.only != "solver":
        plates(arguments.frames)
        print()
    if arguments.only != "plate":
        table(SOLVER_HEAD, (solver_row(frames) for frames in arguments.frames))


if __name__ == "__main__":
    main()

"""Does a long shot cost more a frame? CPU-seconds and memory of camera tracking's solver, on synthetic tracks.

    nox -s benchmarks -- shot_growth
    python -m tests.benchmarks.shot_growth FRAMES …

The tracks of a camera that moves to and fro, about 400 in each frame, with key cameras every fifth frame. Tracking
points through the pictures is not part of it: that holds two frames at a time.
"""

import argparse

from tests.benchmarks._measure import machine, measured, table

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


def row(frames: str) -> list[str]:
    case = measured(SOLVE, frames)
    spent = 1000 * case["spent"] / int(frames)
    return [
        f"{case['solved']}/{frames}",
        f"{case['observations']:,}",
        f"{case['error']:.2f}",
        f"{spent:.0f}",
        f"{case['peak_gib']:.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", nargs="*", default=["200", "500", "1000"], metavar="FRAMES")
    counts = parser.parse_args().frames
    print(f"{machine()}\n")
    head = ["Frames", "Observations", "Median error, px", "CPU-ms per frame", "Peak GiB"]
    table(head, (row(frames) for frames in counts))


if __name__ == "__main__":
    main()

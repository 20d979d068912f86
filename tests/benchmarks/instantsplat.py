"""Splats from a few real photos: how well they draw photos that they were not made from, at 256 pixels, draft quality.

Each row runs in a process of its own: the classical engine finds cameras and depth from the training photos alone, then
the splats are made. A held-out photo's camera starts from its true place beside the training cameras and is moved until
the splats look most like the photo; colours are compared as they are. Where the training photos alone do not give all
their cameras (marked *), the cameras come from all photos of the row, as the prototype's did everywhere; depth and
splats come from the training photos alone.

The last table turns the solved cameras by a degree before the splats are made. Pictures, each photo beside the splats,
are written to instantsplat/.

nox -s benchmarks -- instantsplat;  python -m tests.benchmarks.instantsplat ROW … runs some rows.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks._measure import chosen, machine, measured, table

# Row -> set, how many photos by order of name, training, held out, and what the prototype reached: dB, SSIM, CPU-s.
ROWS = {
    "sample-4": ("sample", 5, (0, 1, 3, 4), (2,), None),
    "board-3": ("rmvd_board", 7, (1, 3, 5), (2, 4), (19.5, 0.67, 59)),
    "board-6": ("rmvd_board", 7, (0, 1, 2, 4, 5, 6), (3,), (27.3, 0.91, 104)),
    "plush-3": ("plush_snowmiku", 14, (1, 4, 7), (2, 5), (16.8, 0.48, 89)),
    "plush-6": ("plush_snowmiku", 14, (0, 2, 4, 6, 8, 10), (3, 7), (18.1, 0.59, 150)),
    "banana-5": ("banana", 9, (0, 2, 4, 6, 8), (3, 5), None),
    "buddha-6": ("alicevision_buddha", 9, (0, 1, 3, 5, 7, 8), (4,), None),
    "office-5": ("hololens_office", 9, (0, 2, 4, 6, 8), (3, 5), None),
}
TOGETHER = ("plush-3", "plush-6", "banana-5")  # rows whose cameras come from all photos
TURNED = "board-6"  # the row that is done again with wrong cameras
PICTURES = Path("instantsplat")

# Runs after the preamble of `_measure.measured`, which imports sys, json and time and defines `end`.
RUN = """
from pathlib import Path
import numpy as np
from tests.benchmarks._splat_rows import Row
row = Row(sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4]), json.loads(sys.argv[5]))
solved = row.solve(together=sys.argv[6] == "together")
splatted = row.splat(solved)
cpu_seconds = time.process_time()
result = row.judge(splatted, Path(sys.argv[7]))
again = {}
if len(sys.argv) > 8:
    wrong = row.turned(solved, degrees=1.0)
    turned = row.splat(wrong)
    before, after = row.difference(solved, wrong), row.difference(splatted, turned)
    again = {"turned": row.judge(turned), "apart": before, "after": after}
end(seconds=cpu_seconds, gaussians=len(splatted.gaussians.means), **result, **again)
"""


def run(name: str, *more: str) -> dict[str, Any]:
    dataset, count, training, held_out, _ = ROWS[name]
    cameras = "together" if name in TOGETHER else "alone"
    arguments = [name, dataset, str(count), str(list(training)), str(list(held_out)), cameras, str(PICTURES), *more]
    return measured(RUN, *arguments)


def main() -> None:
    names = chosen(__doc__, ROWS)
    PICTURES.mkdir(exist_ok=True)
    os.environ["OMP_WAIT_POLICY"] = "passive"  # as the worker has it
    print(f"\nSplats at 256 pixels, draft quality, on {machine()}; CPU-s of everything from photos to splats\n")

    turned = {}

    def rows() -> Iterator[Any]:
        for name in names:
            dataset, _, training, held_out, reached = ROWS[name]
            actual = run(name, *(["turned"] if name == TURNED else []))
            if name == TURNED:
                turned.update(actual)
            who = f"{', '.join(map(str, training))} → {', '.join(map(str, held_out))}"
            yield [
                f"{dataset} {who}{' *' if name in TOGETHER else ''}", f"{actual['gaussians']:,}",
                f"{actual['psnr']:.1f}", f"{actual['ssim']:.2f}", f"{actual['seconds']:.0f}",
                "" if reached is None else "{} / {} / {}".format(*reached),
            ]  # fmt: skip

    head = ["Set, training → held out", "Gaussians", "dB", "SSIM", "CPU-s"]
    table([*head, "prototype dB / SSIM / CPU-s"], rows())

    if turned:
        print("\nThe board's six photos: the solved cameras as they are, and each turned by a degree first\n")
        cells = [turned["apart"], turned["after"], turned["psnr"], turned["turned"]["psnr"]]
        head = ["degrees off before", "after", "dB as solved", "dB after turning"]
        table(head, [[f"{cell:.2f}" for cell in cells]])


if __name__ == "__main__":
    main()

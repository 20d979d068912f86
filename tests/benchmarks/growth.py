"""How time and memory grow with the number of photos, and what preview quality costs beside pycolmap's own mapping.

nox -s benchmarks -- growth
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from tests.benchmarks._measure import DATA, chosen, machine, measured, table

SET = DATA / "plush_snowmiku" / "images"
FIFTIETH = DATA / "banana" / "images"  # the set has 49; a photo of another one makes them 50
FILM = DATA / "hololens_office_clip" / "clip.mp4"  # 260 frames through several rooms
COUNTS = (10, 25, 50)
FRAMES = 200

OURS = """
import tempfile
from pathlib import Path
from threer_blender import headless
photos = sorted(Path(sys.argv[1]).iterdir())
with tempfile.TemporaryDirectory() as folder:
    result = headless.reconstruct(photos, Path(folder) / "result", options={"quality": sys.argv[2]})
    end(registered=len(result.cameras), points=len(result.cloud))
"""
# pycolmap as its documentation runs it, every setting at its default; the mapping alone is timed apart.
THEIRS = """
import zlib, tempfile, shutil
from pathlib import Path
import pycolmap
pycolmap.logging.minloglevel = 2
with tempfile.TemporaryDirectory() as folder:
    images, database = Path(folder) / "images", Path(folder) / "database.db"
    images.mkdir()
    for path in sorted(Path(sys.argv[1]).iterdir()):
        shutil.copy(path, images)
    pycolmap.extract_features(database, images)
    pycolmap.match_exhaustive(database)
    before = time.process_time()
    models = pycolmap.incremental_mapping(database, images, folder)
    end(registered=max((m.num_reg_images() for m in models.values()), default=0), mapping=time.process_time() - before)
"""


def photos(folder: Path, count: int) -> str:
    """A folder of `count` photos of 1008x756."""
    folder.mkdir()
    for path in [*sorted(SET.iterdir()), *sorted(FIFTIETH.iterdir())][:count]:
        shutil.copy(path, folder)
    return str(folder)


def frames(folder: Path, count: int) -> str:
    """A folder of `count` frames of 540x360, evenly chosen from the film."""
    folder.mkdir()
    film = av.open(str(FILM))
    chosen = set(np.linspace(0, film.streams.video[0].frames - 1, count).astype(int).tolist())
    for number, frame in enumerate(film.decode(video=0)):
        if number in chosen:
            Image.fromarray(frame.to_ndarray(format="rgb24")).save(folder / f"{number:04d}.jpg", quality=95)
    return str(folder)


def row(folder: str, count: int, quality: str) -> list[Any]:
    """One line of the table."""
    actual = measured(OURS, folder, quality)
    return [
        quality,
        count,
        actual["registered"],
        f"{actual['points']:,}",
        f"{actual['cpu'] / count:.1f}",
        f"{actual['wall']:.0f}",
        f"{actual['peak_gib']:.2f}",
    ]


def main() -> None:
    chosen(__doc__)
    print(
        f"\nPhotos of 1008x756 ({SET.parent.name}); {FRAMES} frames of 540x360 ({FILM.parent.name}); on {machine()}\n"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sets = {count: photos(folder / str(count), count) for count in (*COUNTS, 20)}
        film = frames(folder / "film", FRAMES)
        runs = [(sets[count], count, quality) for quality in ("standard", "preview") for count in COUNTS]
        head = ["quality", "photos", "registered", "points", "CPU-s per photo", "seconds", "peak GiB"]
        table(head, (row(*run) for run in [*runs, (film, FRAMES, "preview")]))
        ours, theirs = measured(OURS, sets[20], "preview"), measured(THEIRS, sets[20])
    print("\n20 photos, cameras and dense points at preview quality, beside pycolmap's cameras alone at its defaults\n")
    table(
        ["", "registered", "CPU-s", "of which mapping"],
        [
            ["ours, with dense points", ours["registered"], f"{ours['cpu']:.0f}", ""],
            ["pycolmap", theirs["registered"], f"{theirs['cpu']:.0f}", f"{theirs['mapping']:.0f}"],
            ["ratio", "", f"{ours['cpu'] / theirs['cpu']:.2f}", f"{ours['cpu'] / theirs['mapping']:.2f}"],
        ],
    )


if __name__ == "__main__":
    main()

"""How time and memory grow with the number of photos, and what preview quality costs beside pycolmap's own mapping.

nox -s benchmarks -- growth
"""

from _measure import DATA, machine, measured, table

SET = DATA / "plush_snowmiku" / "images"
COUNTS = (10, 25, 49)  # 49 are all there are

OURS = """
import tempfile
from pathlib import Path
from threer_blender import headless
photos = sorted(Path(sys.argv[1]).iterdir())[: int(sys.argv[2])]
with tempfile.TemporaryDirectory() as folder:
    result = headless.reconstruct(photos, Path(folder) / "result", options={"quality": sys.argv[3]})
    end(registered=len(result.cameras), points=len(result.cloud), timings=dict(result.timings))
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
    for path in sorted(Path(sys.argv[1]).iterdir())[: int(sys.argv[2])]:
        shutil.copy(path, images)
    pycolmap.extract_features(database, images)
    pycolmap.match_exhaustive(database)
    before = time.process_time()
    models = pycolmap.incremental_mapping(database, images, folder)
    end(registered=max((m.num_reg_images() for m in models.values()), default=0), mapping=time.process_time() - before)
"""


def main() -> None:
    print(f"\n{SET.parent.name}, photos of 1008x756, on {machine()}\n")
    rows = []
    for quality in ("standard", "preview"):
        for count in COUNTS:
            found = measured(OURS, str(SET), str(count), quality)
            per_photo = found["cpu"] / count
            rows.append(
                [
                    quality,
                    count,
                    found["registered"],
                    f"{found['points']:,}",
                    f"{per_photo:.1f}",
                    f"{found['wall']:.0f}",
                ]
                + [f"{found['peak_gib']:.2f}"]
            )
    table(["quality", "photos", "registered", "points", "CPU-s per photo", "seconds", "peak GiB"], rows)

    ours, theirs = (measured(code, str(SET), "20", "preview") for code in (OURS, THEIRS))
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

"""[B] Renders shots with exact truth, on demand: `python -m tests.data.make_shots [NAME …]`.

Each goes into a folder of its own below $THREER_SHOTS (default: threer_shots in the system's folder for temporary
files), as a movie or an image sequence, with truth.json and, where someone walks through it, masks. Needs bpy, numba,
Pillow and PyAV. A folder of the present VERSION is not made again; delete it to have it made anew.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.data.shot_moves import FRAME_RATE, SHOTS, Shot

Array = npt.NDArray[Any]

ROOT = Path(os.environ.get("THREER_SHOTS", Path(tempfile.gettempdir()) / "threer_shots"))
VERSION = 1  # of the pictures: a folder of another version is rendered anew
GRAIN = 0.9  # grey levels of noise of the sensor
CRF = 6  # of H.264: as good as lossless
GRID = (12, 8)  # points of the surface that are written for each frame
WALKER_SCALE = 1.5

ABOUT = {
    "about": "True camera of a rendered shot, frame by frame, written by make_shots.py.",
    "units": "metres, pixels of the plate, seconds",
    "world": "z up",
    "camera": "world_from_camera, OpenCV axes (x right, y down, z forward); the centre of the top-left pixel is "
    "(0.5, 0.5); distortion by COLMAP's model name and parameters, on (x/z, y/z)",
    "kind": "free, nodal (no translation), zoom (no translation, the focal length changes) or free zoom",
    "number": "of a frame: from 1 in a movie, as in the file's name in a sequence; what a sequence lacks is not listed",
    "rows": "with a rolling shutter, world_from_camera is that of the middle row, and first_row and last_row are the "
    "poses when those were exposed",
    "points": "points of the surface that the frame shows, world; none of what moves",
}


def folder(name: str) -> Path:
    """Where a shot is, or will be."""
    return ROOT / name


def plate(name: str) -> Path:
    """The file to choose: the movie, or the first frame of the sequence."""
    here = folder(name)
    movie = here / f"{name}.mp4"
    return movie if movie.exists() else min((here / "plate").iterdir())


def truth(name: str) -> dict[str, Any]:
    """The shot's truth.json."""
    document: dict[str, Any] = json.loads((folder(name) / "truth.json").read_text())
    return document


def ready(name: str) -> bool:
    """Whether a shot is there as this file makes it."""
    return (folder(name) / "truth.json").exists() and truth(name)["version"] == VERSION


class World:
    """The filmed scene and its paints: the still life, and the walker where a shot has one."""

    def __init__(self) -> None:
        from tests.data import shot_scene

        self._scene = shot_scene
        self._still, self._walker = shot_scene.still_life(), shot_scene.walker_parts()
        self.colors = np.array([paint.colors for paint in shot_scene.PAINTS.values()])
        self.scales = np.array([paint.scale for paint in shot_scene.PAINTS.values()])
        self.first_walker_triangle = len(self._still.corners)  # the still life's triangles come first

    def at(self, shot: Shot, time: float) -> Any:
        """The mesh at a time of a shot, in frames."""
        if shot.walker is None:
            return self._still
        walker = self._scene.walker_at(self._walker, *shot.walker(time), WALKER_SCALE)
        return self._scene.together([self._still, walker])


def lens_of(shot: Shot, time: float) -> Any:
    from tests.data import shot_renderer

    fy, (dx, dy) = shot.focal(time), shot.centre
    cx, cy = shot.width / 2 + dx, shot.height / 2 + dy
    return shot_renderer.Lens(shot.width, shot.height, (fy / shot.pixel_aspect, fy), (cx, cy), shot.k1, shot.k2)


def row_poses(shot: Shot, time: float) -> Array:
    """(H, 4, 4) world_from_camera as each row is exposed; the middle one at `time`, in frames."""
    if not shot.read_out:
        return np.repeat(shot.path(time)[None], shot.height, axis=0)
    delays = ((np.arange(shot.height) + 0.5) / shot.height - 0.5) * shot.read_out * FRAME_RATE
    return np.stack([shot.path(time + delay) for delay in delays])


def displayed(linear: Array, seed: tuple[int, int]) -> Array:
    """(H, W, 3) uint8: sRGB, with compressed highlights and the sensor's grain."""
    soft = linear / (1 + 0.35 * linear)
    encoded = np.where(soft < 0.0031308, 12.92 * soft, 1.055 * np.maximum(soft, 1e-9) ** (1 / 2.4) - 0.055)
    grain = np.random.default_rng(seed).normal(0.0, GRAIN, linear.shape)
    pixels: Array = np.rint(encoded * 255 + grain).clip(0, 255).astype(np.uint8)
    return pixels


def frame(world: World, shot: Shot, index: int) -> tuple[Array, Array | None, dict[str, Any]]:
    """One frame's pixels, the walker's share of each pixel as uint8 (None where nobody walks), and its truth."""
    from tests.data import shot_renderer

    lens, rows = lens_of(shot, index), row_poses(shot, index)
    rendered = shot_renderer.render(world.at(shot, index), world.colors, world.scales, lens, rows)
    walker = rendered.surface >= world.first_walker_triangle
    still = ~walker.any(axis=2) & np.isfinite(rendered.depth)
    columns, lines = (np.arange(GRID[0]) + 0.5) / GRID[0], (np.arange(GRID[1]) + 0.5) / GRID[1]
    x, y = np.meshgrid((columns * shot.width).astype(int), (lines * shot.height).astype(int))
    x, y = x[still[y, x]], y[still[y, x]]
    record: dict[str, Any] = {
        "world_from_camera": rows[shot.height // 2].round(10).tolist(),
        **dict(zip(("fx", "fy", "cx", "cy"), (*lens.focal, *lens.centre), strict=True)),
        "median_depth": round(float(np.median(rendered.depth[still])), 6),
        "points": rendered.points(y, x).round(6).tolist(),
    }
    if shot.read_out:
        record |= {"first_row": rows[0].round(10).tolist(), "last_row": rows[-1].round(10).tolist()}
    share = np.rint(walker.mean(axis=2) * 255).astype(np.uint8) if shot.walker else None
    return displayed(rendered.picture, (zlib.crc32(shot.name.encode()), index)), share, record


class Movie:
    """An H.264 movie that is being written, as good as lossless."""

    def __init__(self, path: Path, shot: Shot) -> None:
        import av

        self._av, self._file = av, av.open(str(path), "w")
        self._stream = self._file.add_stream(
            "libx264", rate=FRAME_RATE, options={"crf": str(CRF), "preset": "veryfast"}
        )
        self._stream.width, self._stream.height, self._stream.pix_fmt = shot.width, shot.height, "yuv420p"
        self._stream.codec_context.sample_aspect_ratio = Fraction(shot.pixel_aspect)

    def write(self, pixels: Array) -> None:
        picture = self._av.VideoFrame.from_ndarray(pixels, format="rgb24")
        self._file.mux(self._stream.encode(picture))

    def close(self) -> None:
        self._file.mux(self._stream.encode(None))
        self._file.close()


def make(world: World, shot: Shot, report: Callable[[str], None] = print) -> None:
    """Renders one shot; its folder appears whole."""
    ROOT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT) as temporary:
        here = Path(temporary) / shot.name
        (here / "plate").mkdir(parents=True)
        (here / "masks").mkdir()
        movie = Movie(here / f"{shot.name}.mp4", shot) if shot.first is None else None
        indices = [index for index in range(shot.frames) if index not in shot.missing]
        records = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for index, (pixels, mask, record) in zip(
                indices, pool.map(lambda i: frame(world, shot, i), indices), strict=True
            ):
                number = index + (1 if shot.first is None else shot.first)
                if movie is None:
                    Image.fromarray(pixels).save(here / "plate" / f"{shot.name}.{number:04d}.png")
                else:
                    movie.write(pixels)
                if mask is not None:
                    Image.fromarray(mask).save(here / "masks" / f"{shot.name}.{number:04d}.png")
                records.append({"number": number, **record})
        if movie is not None:
            movie.close()
        for unused in [each for each in (here / "plate", here / "masks") if not any(each.iterdir())]:
            unused.rmdir()
        document = {
            **ABOUT,
            "version": VERSION,
            "name": shot.name,
            "kind": shot.kind,
            "frame_rate": FRAME_RATE,
            "width": shot.width,
            "height": shot.height,
            "pixel_aspect": shot.pixel_aspect,
            "read_out": shot.read_out,
            "distortion": {"model": "RADIAL", "params": [shot.k1, shot.k2]},
            "frames": records,
        }
        (here / "truth.json").write_text(json.dumps(document) + "\n")
        if folder(shot.name).exists():
            shutil.rmtree(folder(shot.name))
        here.rename(folder(shot.name))
    report(f"{folder(shot.name)} done")


def ensure(names: list[str]) -> None:
    """Has the shots of those names made where they are not there. Raises KeyError for a name that no shot has."""
    by_name = {shot.name: shot for shot in SHOTS}
    wanted = [by_name[name] for name in names if not ready(by_name[name].name)]
    if wanted:
        world = World()
        for shot in wanted:
            make(world, shot, lambda text: print(text, file=sys.stderr, flush=True))


def main() -> None:
    parser = argparse.ArgumentParser(description="Render shots with exact truth.")
    parser.add_argument("names", nargs="*", default=[shot.name for shot in SHOTS], metavar="NAME")
    parser.add_argument("--stills", type=Path, metavar="FOLDER", help="only the first, middle and last frame, as PNG")
    options = parser.parse_args()
    if not options.stills:
        ensure(options.names)
        return
    options.stills.mkdir(parents=True, exist_ok=True)
    world = World()
    for shot in (each for each in SHOTS if each.name in options.names):
        for index in (0, shot.frames // 2, shot.frames - 1):
            Image.fromarray(frame(world, shot, index)[0]).save(options.stills / f"{shot.name}.{index:04d}.png")


if __name__ == "__main__":
    main()

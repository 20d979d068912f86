"""Photos, films, sequences and masks whose names mean something to FFmpeg, to a shell, or to a search for files."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.numbered_films import Kind, write
from threer_blender.files import exr_file
from threer_blender.files.photo_files import find
from threer_blender.model.reconstruction import Photo
from threer_blender.pictures import masks, photos

NAMES = [
    *(
        "take%d",
        "take%04d",
        "take%s",
        "a#1",
        "a[0-9]",
        "a{1,2}",
        "{blend_name}",
        "-i",
        "a b",
        "日本 é",
        "@list",
        "~",
        "%20",
    ),
    *(
        ()
        if os.name == "nt"
        else ("a*b", "a?b", "a'b\"c", "a\nb", "file:x", "concat:x|y", "http:x", "a\\b", "$HOME `x`")
    ),
]
PICTURE = np.random.default_rng(0).integers(0, 255, (72, 96, 3), np.uint8)
WHITE = PICTURE[:, :, 0] > 127


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(Kind(".mp4", "libx264", options={"g": "8"}), tmp_path_factory.mktemp("film") / "film.mp4").read_bytes()


def frames_of(path: Path) -> list[int | None]:
    chosen = photos.read(find([path]).files, lambda _text, _name: None)
    assert chosen.accepted, chosen.unregistered
    for photo in chosen.accepted[:2]:
        photos.pixels(photo)
    return [photo.frame for photo in chosen.accepted]


@pytest.mark.parametrize("name", NAMES)
def test_all_kinds_of_pictures_may_have_such_names(
    name: str,
    film: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """So may their folder. Films are named relative to the working folder, too, as on a command line."""
    record_property("tried", 6)
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    Image.fromarray(PICTURE).save(folder / f"{name}.png", format="PNG")
    assert frames_of(folder / f"{name}.png") == [None]
    Path(f"{name}.mp4").write_bytes(film)
    assert None not in frames_of(Path(f"{name}.mp4"))
    for number in (1, 2, 3):
        exr_file.write(folder / f"{name}.{number:04d}.exr", (PICTURE / 255).astype(np.float32))
        Image.fromarray(np.where(WHITE, 255, 0).astype(np.uint8)).save(folder / f"{name}.{number:04d}.tif")
    assert set(frames_of(folder / f"{name}.0002.exr")) <= {1, 2, 3}
    for mask in (f"{name}.0001.exr", f"{name}.0001.tif", f"{name}.png"):
        masked = masks.from_options({"masks": str(folder / mask), "masked": "white", "mask_margin": 0}, [1, 2, 3])
        assert masked is not None
        out = masked.excluded(Photo("a.png", "a.png", 96, 72, ""), 2)
        assert out is not None
        if mask.endswith(".tif"):
            np.testing.assert_array_equal(out, WHITE)

"""Clips with faults that artists really have: each is solved right, or refused in one sentence.

The engine and its process are the real ones.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import small_disk
from tests.films import film, panned
from threer_blender import headless
from threer_blender.jobs.messages import Message, Notice
from threer_blender.model.arrays import Array
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Reconstruction

SIZE = (240, 136)
FIRST = 1001  # the number of the first frame


@pytest.fixture(scope="module")
def frames() -> list[Array]:
    """A tripod shot of 24 frames."""
    return panned(24, SIZE)


def sequence(pictures: list[Array], folder: Path) -> Path:
    """The first file of an image sequence."""
    folder.mkdir(exist_ok=True)
    for number, picture in enumerate(pictures, FIRST):
        Image.fromarray(picture).save(folder / f"p.{number}.png")
    return folder / f"p.{FIRST}.png"


def solved(plate: Path, output: Path, **options: Any) -> tuple[Reconstruction, list[str]]:
    """The result, and the sentences of its notices."""
    heard: list[str] = []

    def hear(message: Message) -> None:
        if isinstance(message, Notice):
            heard.append(message.text)

    return headless.reconstruct([plate], output, options={"quality": "preview", **options}, on_message=hear), heard


def test_black_and_white_frames_have_no_camera_and_part_nothing(frames: list[Array], tmp_path: Path) -> None:
    """The frames before and after them stay one shot."""
    faulty = list(frames)
    for index, grey in ((8, 0), (9, 0), (15, 255)):
        faulty[index] = np.full_like(frames[0], grey)
    result, _ = solved(sequence(faulty, tmp_path / "plate"), tmp_path / "result")
    (shot,) = result.shots
    assert shot.motion == "nodal"
    assert sorted(shot.cameras) == [FIRST + i for i in range(24) if i not in (8, 9, 15)]


def test_pulldown_is_named_and_its_repeats_stand(frames: list[Array], tmp_path: Path) -> None:
    sources = [0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 5, 6, 6, 7, 7, 7]
    result, _ = solved(film([frames[2 * each] for each in sources], tmp_path / "on_twos.mp4"), tmp_path / "result")
    (shot,) = result.shots
    assert len(shot.cameras) == 20
    assert "12 of 20 frames repeat the one before" in shot.motion_reason
    repeated = [number for number in range(2, 21) if sources[number - 1] == sources[number - 2]]
    for number in repeated:
        rotation, before = (shot.cameras[each].world_from_camera[:3, :3] for each in (number, number - 1))
        assert np.degrees(np.arccos(min(1.0, (np.trace(rotation.T @ before) - 1) / 2))) < 0.02


def test_a_cut_is_refused_with_its_frame(frames: list[Array], tmp_path: Path) -> None:
    other = [frame[::-1, ::-1] for frame in frames]
    with pytest.raises(UserError, match="Nothing leads from frame 1012 to frame 1013: there is a cut"):
        solved(sequence([*frames[:12], *other[12:]], tmp_path / "plate"), tmp_path / "result")


def test_a_plate_that_changes_size_is_refused_with_its_frame(frames: list[Array], tmp_path: Path) -> None:
    small = [np.asarray(Image.fromarray(frame).resize((120, 68))) for frame in frames]
    with pytest.raises(UserError, match="Frame 1013 has 120 × 68 pixels, and frame 1001 has 240 × 136"):
        solved(sequence([*frames[:12], *small[12:]], tmp_path / "plate"), tmp_path / "result")


def test_masks_of_another_size_and_of_everything(frames: list[Array], tmp_path: Path) -> None:
    plate = sequence(frames, tmp_path / "plate")
    half = np.zeros((68, 120), np.uint8)
    half[:, :30] = 255
    Image.fromarray(half).save(tmp_path / "half.png")
    result, heard = solved(plate, tmp_path / "result", masks=str(tmp_path / "half.png"), mask_margin=0)
    assert "Masks of 120 × 68 pixels are scaled to the pictures' 240 × 136." in heard
    tracks = result.shots[0].tracks
    assert tracks is not None
    assert tracks.pixels[:, 0].min() > 58
    Image.new("L", SIZE, 255).save(tmp_path / "all.png")
    with pytest.raises(UserError, match="The masks leave nothing of the pictures"):
        solved(plate, tmp_path / "none", masks=str(tmp_path / "all.png"))


def test_a_wrong_focal_length_is_named(frames: list[Array], tmp_path: Path) -> None:
    """The true one is 343 px."""
    plate = sequence(frames, tmp_path / "plate")
    started, _ = solved(plate, tmp_path / "started", focal_pixels=250.0)
    assert "The known focal length of 250 px was the start; the solved one is 34" in started.notes[0]
    held, _ = solved(plate, tmp_path / "held", focal_pixels=250.0, known_lens="held")
    assert "is held, but the tracks prefer one that is 3" in held.notes[0]
    assert "% longer" in held.notes[0]


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that turns read-only when it is asked to; only root may make one."""
    with small_disk.mounted(tmp_path / "plates", "20m") as folder:
        yield folder


def test_a_plate_in_a_read_only_folder(frames: list[Array], read_only: Path, tmp_path: Path) -> None:
    """The plate is solved. A result in the same folder is refused before the work."""
    plate = sequence(frames, read_only / "shot")
    subprocess.run(["mount", "-o", "remount,ro", str(read_only)], check=True)
    result, _ = solved(plate, tmp_path / "result")
    assert len(result.shots[0].cameras) == 24
    with pytest.raises(UserError, match="cannot be written to"):
        solved(plate, read_only / "result")


def test_a_long_clip_tells_its_cost_before_the_work(tmp_path: Path) -> None:
    """It is cancelled where the first frame is tracked."""
    picture = np.zeros((36, 64, 3), np.uint8)
    clip = film([picture] * 1600, tmp_path / "long.mp4")
    heard: list[str] = []

    def hear(message: Message) -> None:
        if isinstance(message, Notice):
            heard.append(message.text)
        elif getattr(message, "stage", "").startswith("Tracking"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        headless.reconstruct([clip], tmp_path / "result", on_message=hear)
    assert any("1,600 frames" in text and "minutes" in text for text in heard)

"""Mistakes that artists really make: each ends in one sentence and loses nothing.

Every test runs the real engine in its real process and then checks that the earlier result stands as it was, and that
no process and no temporary file is left.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from tests import small_disk
from tests.films import film, static_camera
from tests.sample_photos import SAMPLE, shrunk
from threer_blender import bundle, headless
from threer_blender.jobs.messages import Failed, Message, Notice, Progress
from threer_blender.jobs.process import Job
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Reconstruction

FAST = {"quality": "preview"}


@pytest.fixture(scope="session")
def small_photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three neighbouring sample photos at a fifth of their size: enough to solve, quick to do so."""
    return shrunk(SAMPLE[:3], tmp_path_factory.mktemp("photos"), factor=5)


ODD_NAMES = ["my photo.jpg", 'it\'s "quoted"\nin two lines, 写真 ünï.jpg']


class Odd(NamedTuple):
    """A whole run on photos of odd names, and the stages that it went through."""

    result: Reconstruction
    stages: list[str]


@pytest.fixture(scope="module")
def odd(small_photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Odd:
    folder = tmp_path_factory.mktemp("odd")
    chosen = [folder / "a" / ODD_NAMES[0], folder / "a" / ODD_NAMES[1], folder / "b" / ODD_NAMES[0]]
    for path, copy in zip(small_photos, chosen, strict=True):
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)
    cut = folder / "cut.jpg"
    cut.write_bytes(small_photos[0].read_bytes()[:5000])
    stages: list[str] = []

    def hear(message: Message) -> None:
        if isinstance(message, Progress) and message.stage not in stages:
            stages.append(message.stage)

    return Odd(headless.reconstruct([*chosen, cut], folder / "result", options=FAST, on_message=hear), stages)


class Place:
    """An output with an earlier result in it, and the temporary folder of everything that runs."""

    def __init__(self, root: Path, earlier: Reconstruction) -> None:
        self.output = root / "out" / "result"
        self.temporary = root / "tmp"
        self.temporary.mkdir(parents=True)
        bundle.write(earlier, self.output)
        self.before = self.listing()

    def listing(self) -> dict[str, bytes | None]:
        actual = self.output.parent.rglob("*")
        return {str(path): path.read_bytes() if path.is_file() else None for path in actual}

    def assert_untouched(self) -> None:
        assert self.listing() == self.before
        assert list(self.temporary.iterdir()) == []
        assert self.running() == []

    def running(self) -> list[str]:
        """The processes whose temporary files lie here: our workers, and whatever they started."""
        collected = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has just ended
                if str(self.temporary).encode() in (process / "environ").read_bytes():
                    collected.append(process.name)
        return collected


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    unused = Place(tmp_path, Reconstruction("earlier", "MIT", [], []))
    monkeypatch.setattr(tempfile, "tempdir", str(unused.temporary))
    yield unused
    unused.assert_untouched()


def refused(photos: list[Path], place: Place, **options: object) -> tuple[str, list[Notice]]:
    """The sentence with which a reconstruction of `photos` is refused, and the warnings before it."""
    heard: list[Notice] = []

    def hear(message: Message) -> None:
        if isinstance(message, Notice):
            heard.append(message)

    with pytest.raises(UserError) as caught:
        headless.reconstruct(photos, place.output, options={**FAST, **options}, on_message=hear)
    text = str(caught.value)
    assert text.endswith(".")
    assert "Traceback" not in text
    return text, heard


# ------------------------------------------------------------------ what was chosen


def test_no_photo(place: Place) -> None:
    assert "No photos were chosen" in refused([], place)[0]


def test_one_photo(place: Place, small_photos: list[Path]) -> None:
    assert "One photo tells no depth" in refused(small_photos[:1], place)[0]


def test_the_same_photo_twice(place: Place, small_photos: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.jpg"
    shutil.copy(small_photos[0], copy)
    text, heard = refused([small_photos[0], copy], place)
    assert "One photo tells no depth" in text
    assert any("copy.jpg" in warning.text + warning.photo for warning in heard)


def test_the_same_picture_saved_twice(place: Place, small_photos: list[Path], tmp_path: Path) -> None:
    with Image.open(small_photos[0]) as image:
        image.save(tmp_path / "again.jpg", quality=70)
    assert "move" in refused([small_photos[0], tmp_path / "again.jpg"], place)[0]


def test_a_folder_of_text_files(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in ("a.txt", "b.md"):
        (folder / name).write_text("not a photo")
    assert f"There is no photo in the folder '{folder}'" in refused([folder], place)[0]


def test_text_named_jpg_and_a_pixel_are_left_out_by_name(
    place: Place, small_photos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "letter.jpg").write_text("Dear artist")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    text, heard = refused([small_photos[0], tmp_path / "letter.jpg", tmp_path / "dot.png"], place)
    assert "One photo tells no depth" in text
    assert [warning.photo for warning in heard] == ["letter.jpg", "dot.png"]
    assert "1 × 1 pixels" in heard[1].text


def test_a_missing_file(place: Place, small_photos: list[Path], tmp_path: Path) -> None:
    assert "gone.jpg" in refused([small_photos[0], tmp_path / "gone.jpg"], place)[0]


# ------------------------------------------------------------------ what the photos show


def test_pure_rotation(place: Place, tmp_path: Path) -> None:
    """A camera on a tripod that pans: homographies of one photo."""
    with Image.open(SAMPLE[0]) as image:
        width, height = image.size
        focal = 1.1 * width
        k = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        for index, degrees in enumerate((-5, 0, 5)):
            c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
            h = k @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ np.linalg.inv(k)
            coefficients = (h / h[2, 2]).ravel()[:8]
            panned = image.transform(
                image.size, Image.Transform.PERSPECTIVE, tuple(coefficients), Image.Resampling.BICUBIC
            )
            panned.crop((width // 8, 0, width * 7 // 8, height)).resize((540, 480)).save(tmp_path / f"pan{index}.png")
    assert "move" in refused(sorted(tmp_path.glob("pan*.png")), place)[0]


def test_photos_without_overlap(place: Place, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(3):
        blobs = Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).resize(
            (480, 360), Image.Resampling.BICUBIC
        )
        blobs.save(tmp_path / f"other{index}.png")
    assert "overlap" in refused(sorted(tmp_path.glob("other*.png")), place)[0]


@pytest.mark.parametrize("turning", [False, True], ids=["across", "turning"])
@pytest.mark.usefixtures("place")
def test_film_of_a_static_camera_with_moving_things(tmp_path: Path, turning: bool) -> None:
    result = headless.reconstruct(
        [film(static_camera(turning), tmp_path / "still.mp4")], tmp_path / "still", options=FAST
    )
    (shot,) = result.shots
    assert shot.motion == "locked off"
    assert sorted(shot.cameras) == list(range(1, 25))
    assert len({camera.world_from_camera.tobytes() for camera in shot.cameras.values()}) == 1
    assert "focal length, which is a guess" in shot.motion_reason


def test_text_named_mp4(place: Place, tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("Dear friend,")
    assert "letter.mp4: It is damaged, or no video" in refused([tmp_path / "letter.mp4"], place)[0]


# ------------------------------------------------------------------ what happens meanwhile


def in_stage(stage: str, progress: Progress) -> bool:
    return progress.stage == stage


def until(job: Job, reached: Callable[[Progress], bool]) -> None:
    while True:
        assert job.ended is None, job.ended
        if any(isinstance(m, Progress) and reached(m) for m in job.wait(60)):
            return


def finish(job: Job) -> Failed:
    while job.ended is None:
        job.wait(60)
    assert isinstance(job.ended, Failed)
    return job.ended


def test_a_photo_that_vanishes(place: Place, small_photos: list[Path], tmp_path: Path) -> None:
    chosen = [Path(shutil.copy(path, tmp_path)) for path in small_photos]
    job = headless.begin(headless.reconstruction_request(chosen, place.output, options=FAST))
    until(job, lambda progress: progress.fraction > 0)
    for path in chosen:
        path.unlink()
    ended = finish(job)
    assert ended.kind == "user"
    assert any(path.name in ended.text for path in chosen)


@pytest.mark.parametrize("killed", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_worker(killed: signal.Signals, place: Place, small_photos: list[Path]) -> None:
    job = headless.begin(headless.reconstruction_request(small_photos, place.output, options=FAST))
    until(job, lambda progress: progress.fraction > 0)
    assert str(job.pid) in place.running()
    os.kill(job.pid, killed)
    ended = finish(job)
    assert killed.name in ended.text
    assert str(job.log) in ended.text


def test_cancel_at_every_stage(place: Place, small_photos: list[Path], odd: Odd) -> None:
    """Cancelled where each stage begins; the stages are those that a whole run goes through.

    The last two are over in an instant with such photos: test_plates cancels the one, and test_bundle shows that what
    the other writes is whole or absent.
    """
    assert len(odd.stages) >= 5
    for stage in odd.stages[:-2]:
        job = headless.begin(headless.reconstruction_request(small_photos, place.output, options=FAST))
        until(job, partial(in_stage, stage))
        job.cancel()
        ended = finish(job)
        assert ended.kind == "cancelled"
        place.assert_untouched()


def test_control_c(place: Place, small_photos: list[Path]) -> None:
    def interrupt(_: Message) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        headless.reconstruct(small_photos, place.output, options=FAST, on_message=interrupt)


# ------------------------------------------------------------------ where the result goes


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB; only root may make one."""
    with small_disk.mounted(tmp_path / "disk", "200k") as folder:
        yield folder


@pytest.mark.usefixtures("place")
def test_a_full_disk(small_photos: list[Path], tiny_disk: Path) -> None:
    with pytest.raises(UserError, match="full; free some space"):
        headless.reconstruct(small_photos, tiny_disk / "result", options=FAST)
    assert list(tiny_disk.iterdir()) == []


def test_a_full_disk_for_temporary_files(
    place: Place, small_photos: list[Path], tiny_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tiny_disk))
    text, _ = refused(small_photos, place)
    assert text == f"The disk of {str(tiny_disk)!r}, for temporary files, is full; free some space and run again."
    assert list(tiny_disk.iterdir()) == []


@pytest.mark.usefixtures("place")
def test_a_read_only_disk(small_photos: list[Path], tiny_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(UserError, match="cannot be written to"):
        headless.reconstruct(small_photos, tiny_disk / "result", options=FAST)


@pytest.mark.usefixtures("place")
def test_an_output_that_holds_something_else(small_photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "precious.txt").write_text("x")
    with pytest.raises(UserError, match="holds something else"):
        headless.reconstruct(small_photos, tmp_path / "album", options=FAST)
    assert (tmp_path / "album" / "precious.txt").read_text() == "x"


# ------------------------------------------------------------------ odd, but fine


def test_odd_names_and_bad_neighbours_still_arrive(odd: Odd) -> None:
    """Spaces, quotes, newlines, other alphabets, clashing names, a truncated JPEG among them: the rest is solved."""
    assert [photo.name for photo in odd.result.photos] == [f"a/{ODD_NAMES[0]}", ODD_NAMES[1], f"b/{ODD_NAMES[0]}"]
    assert len(odd.result.cameras) == 3
    assert [entry.photo for entry in odd.result.unregistered] == ["cut.jpg"]


@pytest.mark.usefixtures("place")
def test_a_photo_of_180_megapixels(small_photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than Pillow opens unasked. It is worked with like its neighbours, and its camera is in its own pixels."""
    size = (16404, 10936)
    with Image.open(SAMPLE[3]) as image:
        grey = image.convert("L").resize(size, Image.Resampling.NEAREST)
        grey.save(tmp_path / "huge.jpg", quality=60, exif=image.getexif())
    options = {**FAST, "points": False}
    result = headless.reconstruct([*small_photos[1:], tmp_path / "huge.jpg"], tmp_path / "result", options=options)
    assert len(result.cameras) == 3
    huge, small = result.cameras[-1], result.cameras[0]
    assert (huge.photo, huge.width, huge.height) == ("huge.jpg", *size)
    assert huge.fx / huge.width == pytest.approx(small.fx / small.width, rel=0.03)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with Image.open(tmp_path / "result" / huge.undistorted) as plate:
        assert plate.size == size

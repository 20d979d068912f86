"""The choice on the panel: photos are counted, shots are named with their frames."""

from pathlib import Path

import bpy
import pytest

from tests.blender.drawn import panel
from tests.blender.extension import choose, part, roots
from tests.blender.filmed import COUNT, filmed, write_film
from tests.sample_photos import SAMPLE
from threer_blender import bundle

pytest_plugins = ["tests.blender.extension"]


@pytest.mark.usefixtures("addon")
def test_a_film_is_a_shot(tmp_path: Path) -> None:
    film = write_film(tmp_path / "clip.mp4")
    bpy.ops.threer.choose_photos(directory=str(tmp_path), files=[{"name": "clip.mp4"}])
    text = panel()
    assert "1 shot, " in text
    assert f"clip.mp4: {COUNT} frames, 24 fps" in text
    assert "photo, " not in text
    assert part("ui.chosen").title([str(film)]) == "clip.mp4"
    assert part("ui.chosen").size(bpy.context.scene) == (0, COUNT)


@pytest.mark.usefixtures("addon")
def test_photos_and_shots_are_counted_by_themselves(tmp_path: Path) -> None:
    write_film(tmp_path / "clip.mp4")
    for number in (1001, 1002, 1004):
        (tmp_path / f"plate.{number}.png").write_bytes(SAMPLE[0].read_bytes())
    files = [{"name": name} for name in ("clip.mp4", "plate.1001.png")]
    bpy.ops.threer.choose_photos(directory=str(tmp_path), files=files)
    text = panel()
    assert "2 shots, " in text
    assert "plate.####.png: frames 1001–1004, 1 missing" in text
    choose(SAMPLE[0].parent)
    assert f"{len(SAMPLE)} photos, " in panel()


@pytest.mark.usefixtures("addon")
def test_a_film_takes_longer_than_a_photo() -> None:
    estimate = part("doctor").estimate
    engine = part("engines.registry").engine("colmap")
    options = {"quality": "preview"}
    assert estimate(engine, options, 0, 200).seconds > estimate(engine, options, 20).seconds + 60


@pytest.mark.usefixtures("addon")
def test_a_result_of_a_shot_speaks_of_frames(tmp_path: Path) -> None:
    result = bundle.write(filmed(tmp_path), tmp_path / "3R results" / "result")
    bpy.ops.threer.import_result(directory=str(result))
    text = panel()
    assert "clip.mp4: 6 of 6 frames" in text
    assert "registered" not in text
    assert "view_per_frame" not in text
    (root,) = roots()
    states = part("ui.summary").photo_states(root)
    assert part("ui.photo_list").state_of("/films/clip.mp4", states).camera == "clip.mp4"
    bpy.ops.threer.look_through()
    assert bpy.context.scene.camera.name == "clip.mp4"
    with pytest.raises(RuntimeError, match="This is for photos"):
        bpy.ops.threer.view_per_frame()


@pytest.mark.usefixtures("addon")
def test_a_long_note_is_its_first_sentence() -> None:
    brief = part("ui.words").brief
    long = "clip.mp4: The camera only turns (information criterion 119535. Of all.), which is exact. " + "More. " * 40
    assert brief(long) == "clip.mp4: The camera only turns, which is exact. …"
    assert brief("Short (as it is). And whole.") == "Short (as it is). And whole."

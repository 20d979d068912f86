"""Whoever wants more than the first engine, in a real window: splats, the engines' list, what they need, their terms.

No weights are fetched, and no engine but a stand-in runs. The test clicks on the panel and keeps pictures of it.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from tests.blender.world import CAMERAS, reconstruct, write_photos
from tests.sample_photos import SAMPLE
from tests.splats import random_gaussians
from threer_blender import bundle, splat_files
from threer_blender.host import environment, store

from . import window as real
from .artist import Artist

# Where things stand on the panel, in widgets below the sidebar's top.
ENGINE, RECONSTRUCT, NEEDED, STOP = 4.7, 7.55, 8.5, 20.65
# In the list of engines, and in the dialog: pixels from where the click was that opened them.
FILTER, FIRST_ENGINE, NEXT_ENGINE, NEXT_GROUP = (-257, 44), (-170, 91), 20.8, 26.0
ACCEPT = (-386, 69)
LISTED = "[[engine.id for engine, _ in each] for each in part('ui.engines').grouped().values()]"
KNOWN = (
    "all(state is not part('ui.readiness').UNKNOWN"
    " for each in part('ui.engines').grouped().values() for _, state in each)"
)
DATA_FOLDER = "blender/extensions/.user/user_default/threer_blender"
STAND_IN = f"""
import pathlib
environment = part("host.environment")
stand_in = environment.Interpreter(pathlib.Path(sys.executable), (pathlib.Path("{real.SHARED}/stand_in"),))
environment.this_python = lambda *_: stand_in
"""


def test_more_than_the_first_engine(artist: Artist) -> None:
    artist.window.ask("bpy.data.objects.remove(bpy.data.objects['Cube']); bpy.ops.ed.undo_push()")
    artist.open_tab()
    drop_splats(artist)
    artist.window.ask(f"bpy.ops.threer.choose_photos(directory='{real.SHARED}/photos/')")
    choose_an_engine(artist)
    be_offline(artist)
    accept_terms(artist)
    stop_and_keep(artist)


def drop_splats(artist: Artist) -> None:
    """Dropped onto the viewport, they are offered as splats, come in as one step, and have their button."""
    window = artist.window
    splat_files.write(random_gaussians(3000), window.shared / "garden.ply")
    window.drop(["garden.ply"], at=(500, 400))
    artist.keep("10 splats dropped")
    window.key("Return")
    artist.until("'garden' in bpy.data.objects", 30)
    assert window.ask("print(len(bpy.context.object.data.attributes['position'].data))") == "3000"
    artist.keep("11 splats")
    window.hover(600, 700)
    window.key("ctrl+z")
    artist.until("'garden' not in bpy.data.objects", 30)


def choose_an_engine(artist: Artist) -> None:
    """The list says which can run; the filter leaves those whose results may be sold."""
    x, y = artist.row(ENGINE, across=0.6)
    artist.until(KNOWN, 120)
    artist.open(x, y, "12 engines")
    artist.publish("12 engines", "../../tests/window/pictures/engines.jpg", (915, 75, 1500, 820))
    wanted = "vggt_commercial"
    group = next(number for number, group in enumerate(groups(artist)) if wanted in group)
    place = listed(artist).index(wanted) * NEXT_ENGINE + group * NEXT_GROUP
    artist.click(x + FIRST_ENGINE[0], y + FIRST_ENGINE[1] + place, f"bpy.context.scene.threer.engine == '{wanted}'")
    artist.click(x + FILTER[0], y + FILTER[1], "part('ui.choices').current().commercial_only")
    artist.keep("13 engines for commercial use")
    assert {"colmap", "vggt_commercial"} < set(listed(artist))
    assert not {"dust3r", "vggt"} & set(listed(artist))
    artist.close()


def groups(artist: Artist) -> Any:
    """The engines in the list by group, from the top."""
    return json.loads(artist.window.ask(f"import json; print(json.dumps({LISTED}))"))


def listed(artist: Artist) -> list[str]:
    """The engines in the list, from the top."""
    return [engine for group in groups(artist) for engine in group]


def be_offline(artist: Artist) -> None:
    """The panel says what an engine needs, with a button; nothing is fetched while Blender may not use the internet."""
    artist.keep("14 needs setting up")
    artist.press(NEEDED, "'allow it in Preferences' in work().error")
    assert artist.is_true("not work().queue.tasks")
    artist.close()
    artist.keep("15 offline")


def accept_terms(artist: Artist) -> None:
    """Weights are asked for only when their terms are accepted."""
    window = artist.window
    folder = window.shared / DATA_FOLDER / environment.ENVIRONMENT
    program = environment.executable(folder)
    program.parent.mkdir(parents=True)
    program.touch()
    versions = {module: package.partition("==")[2] for module, package in environment.PACKAGES.items()}
    (folder / environment.NOTE).write_text(json.dumps({"python": "3.13.0", "versions": versions, "device": "cpu"}))
    artist.close()
    artist.keep("16 needs weights")
    x, y = artist.row(NEEDED)
    artist.open(x, y, "17 terms")
    window.key("Return")
    artist.until("'Accept the terms of' in work().error", 20)
    artist.close()
    artist.open(x, y, "18 terms accepted")
    window.click(x + ACCEPT[0], y + ACCEPT[1])
    artist.keep("18 terms accepted")
    window.key("Return")
    artist.until("'needs your own token' in work().error", 20)  # which these weights' owners want
    assert list((window.shared / DATA_FOLDER / "weights" / store.NOTES / "accepted").iterdir())
    artist.close()
    artist.keep("19 needs a token")
    shutil.rmtree(folder)


def stop_and_keep(artist: Artist) -> None:
    """A result that is only being improved shows how far it is, and stopping keeps it."""
    window = artist.window
    shot, stand_in = window.shared / "shot", window.shared / "stand_in" / "threer_blender" / "worker"
    photos = [replace(photo, path=f"{real.SHARED}/shot/{photo.name}") for photo in write_photos(shot, CAMERAS)]
    bundle.write(reconstruct(photos, CAMERAS, step=8), shot / "bundle")
    stand_in.mkdir(parents=True)
    shutil.copy(Path(__file__).parents[1] / "blender" / "fake_worker.py", stand_in / "__main__.py")
    window.ask(f"{STAND_IN}\nbpy.context.scene.threer.engine = 'colmap'")
    window.ask(f"bpy.ops.threer.choose_photos(directory='{real.SHARED}/shot/')")
    artist.press(RECONSTRUCT, "work().queue.tasks")
    with Image.open(SAMPLE[0]) as photo:
        photo.resize((160, 120)).save(window.shared / "preview.png")
    (window.shared / "preview.png").rename(shot / "preview.png")
    artist.until("work().queue.tasks[0].preview", 60)
    artist.keep("20 stop and keep")
    artist.press(STOP, "not work().queue.tasks")
    artist.until("summary()", 60)
    assert window.ask("print(summary().registered, work().error)") == f"{len(CAMERAS)}"
    artist.keep("21 kept")

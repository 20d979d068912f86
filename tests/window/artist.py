"""Somebody in front of a Blender window, who clicks, drags, and keeps pictures of what the screen shows."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from PIL import Image

from threer_blender.model.arrays import Array

from . import debian
from . import window as real

UNIT = 20  # pixels of a widget at interface scale 1
NEWEST = debian.SUITES[-1].blender
ELSEWHERE = (600, 500)  # a place in the viewport without buttons
REDRAW = """
window, area, regions = viewport()
with bpy.context.temp_override(window=window, area=area, region=regions["WINDOW"]):
    bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=2)
"""


class Artist:
    """Somebody in front of the `window`, who keeps pictures of the screen in the folder THREER_WINDOW_PICTURES. Their
    names begin with `name`."""

    def __init__(self, window: real.Window, name: str) -> None:
        self.window, self.name = window, name
        self.pictures = Path(os.environ["THREER_WINDOW_PICTURES"])
        self.pictures.mkdir(exist_ok=True)

    def keep(self, what: str) -> Array:
        """Saves a picture of the screen, and returns it as (H, W, 3)."""
        self.window.ask(REDRAW, 600)
        path = self.pictures / f"{self.name} {what}.png"
        self.window.picture(path)
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"), float)

    def publish(self, what: str, name: str, box: tuple[int, int, int, int], width: int = 900) -> None:
        """Makes a part of a kept picture one of the documents' pictures, where THREER_DOCS_PICTURES names their folder.

        `box` is left, top, right and bottom in pixels of the screen. The new picture is `width` pixels wide at most.
        The newest Blender's pictures alone are taken.
        """
        folder = os.environ.get("THREER_DOCS_PICTURES")
        if folder and self.name.endswith(NEWEST):
            with Image.open(self.pictures / f"{self.name} {what}.png") as picture:
                part = picture.convert("RGB").crop(box)
            part.thumbnail((width, width), Image.Resampling.LANCZOS)
            part.save(Path(folder) / name, quality=86)

    def press(self, row: float, effect: str) -> None:
        """Clicks on a row of the panel and waits until `effect` is true in Blender."""
        self.window.ask(REDRAW, 600)  # buttons move after a script's change only at a redraw
        self.click(*self.row(row), effect)

    def row(self, row: float, across: float = 0.45) -> tuple[float, float]:
        """The pixel of the screen `row` heights of a widget below the panel's top, at the share `across` of the panel's
        width."""
        scale = float(self.window.ask("print(bpy.context.preferences.system.ui_scale)", 300))
        left, top, width, _ = self.window.region("UI")
        return left + across * width, top + row * UNIT * scale

    def click(self, x: float, y: float, effect: str) -> None:
        """Clicks at a pixel of the screen and waits until `effect` is true in Blender.

        Blender forgets a click that comes while it is busy, as it often is on software GL: then it takes another.
        """
        for _ in range(4):
            self.window.hover(x, y)
            self.window.ask("", 300)
            self.window.click(x, y)
            for _ in range(10):
                if self.is_true(effect):
                    return
                time.sleep(0.5)
        answer = self.window.ask("print(work().error)", 300)
        raise AssertionError(f"the click had no effect: {effect}; the panel says: {answer}")

    def open(self, x: float, y: float, what: str) -> None:
        """Clicks where a list or a dialog opens, until the screen shows it; keeps a picture of it."""
        self.window.hover(*ELSEWHERE)
        self.window.hover(x, y)
        before = self.keep(what)
        for _ in range(4):
            self.window.click(x, y)
            if (np.abs(self.keep(what) - before).max(axis=2) > 20).mean() > 0.02:
                return
        raise AssertionError("the click opens nothing")

    def close(self) -> None:
        """Closes a message or a list that is open, and moves the pointer away from where it was."""
        self.window.key("Escape")
        self.window.hover(*ELSEWHERE)
        self.window.ask(REDRAW, 600)

    def orbit(self) -> None:
        """Turns the view with the mouse, and again where Blender forgets a drag while it is busy."""
        turned = "print([round(x, 3) for x in viewport()[1].spaces.active.region_3d.view_rotation])"
        before = self.window.ask(turned, 300)
        for _ in range(4):
            self.window.drag((600, 500), (690, 480), button=2)
            for _ in range(10):
                if self.window.ask(turned, 300) != before:
                    return
                time.sleep(1)
        raise AssertionError("dragging turns nothing")

    def is_true(self, code: str) -> bool:
        """Whether `code` is true in Blender."""
        return self.window.ask(f"print(bool({code}))", 300) == "True"

    def open_tab(self) -> None:
        """Clicks along the tabs until ours is open."""
        left, top, width, height = self.window.region("UI")
        tab = "print(getattr(viewport()[2]['UI'], 'active_panel_category', ''))"
        for y in range(top + 20, top + height, 25):
            if self.window.ask(tab) == "3R":
                return
            self.window.click(left + width - 8, y)
        raise AssertionError("there is no tab 3R")

    def until(self, code: str, seconds: float = 300) -> None:
        """Waits until `code` is true in Blender."""
        self.window.wait(lambda: self.is_true(code), seconds)

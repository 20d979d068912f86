"""[B] The button that judges a result by the truth."""

from __future__ import annotations

import webbrowser
from functools import partial
from pathlib import Path

import bpy

from .. import headless
from ..jobs.messages import Evaluate
from . import summary, work
from .buttons import AsksForFolder, OfResult, registration

BESIDE = "{} evaluation"  # the name of the page, beside the result's folder


class THREER_OT_evaluate(AsksForFolder, OfResult, bpy.types.Operator):
    """Choose a folder with the true cameras, depth or points: a page beside the result says how far it is from them"""

    bl_idname = "threer.evaluate"
    bl_label = "Evaluate by Truth…"

    def run(self, context: bpy.types.Context) -> None:
        root = self.root(context)
        folder = summary.bundle(root)
        output = folder.with_name(BESIDE.format(folder.name))
        request = Evaluate(str(folder), str(self.folder.absolute()), str(output))
        page, _ = headless.report_paths(output)
        task = work.add(request, then=partial(_show, page))
        if bpy.app.background:  # where timers never run
            work.finish(task)


def _show(page: Path) -> None:
    """Opens a page that has just been written in the web browser."""
    if not bpy.app.background:
        webbrowser.open(page.as_uri())


register, unregister = registration((THREER_OT_evaluate,), {})

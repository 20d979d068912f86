"""[B] File > Import > 3R Solve of Another Program: COLMAP, Metashape, Meshroom and others, into this scene."""

from __future__ import annotations

from pathlib import Path

import bpy

from . import work
from .buttons import Asks, entry, registration


class THREER_OT_import_solve(Asks, bpy.types.Operator):
    """Bring in cameras and points from COLMAP, Metashape, RealityCapture, Meshroom and others: a file or a folder"""

    bl_idname = "threer.import_solve"
    bl_label = "Import Solve"
    bl_options = {"UNDO"}

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    photos: bpy.props.StringProperty(
        name="Photos",
        description="The folder of the photos, where they are no longer beside the solve or where it says",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )

    points: bpy.props.StringProperty(
        name="Points",
        description="A PLY, LAS, LAZ or E57 file of points in the world of these cameras, where the solve has none",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )

    def run(self, context: bpy.types.Context) -> None:
        folders = [bpy.path.abspath(self.photos)] if self.photos else []
        points = bpy.path.abspath(self.points) if self.points else ""
        task = work.import_solve(str(Path(self.filepath)), folders, points, context.scene)
        if bpy.app.background:  # where timers never run
            work.finish(task)


register, unregister = registration(
    (THREER_OT_import_solve,),
    {"TOPBAR_MT_file_import": entry(THREER_OT_import_solve, "3R Solve of Another Program (COLMAP, Metashape …)")},
)

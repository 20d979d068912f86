"""[B] How splats look: their materials, and the render settings with which Blender shows them as they were made."""

from __future__ import annotations

import bpy

from ...model.splat_rendering import ALPHA_LEAST, ALPHA_MOST
from ..look import new_material, set_view_transform, shared, shining
from ..node_fields import Field
from .nodes import COLOR, PLACE

NODES_VERSION = 1  # raise it when the materials below change: old files keep the look they were saved with
BOUNCES = 256  # splats that a ray of Cycles goes through; what is behind so many is seldom seen


def material() -> bpy.types.Material:
    """The shared material of quads: emission with the Gaussian's opacity, in Cycles and in EEVEE.

    At a distance r from the mean, 1 where the opacity o has fallen to 1/255, it is o (255 o)^(-r²).
    """
    kind = f"splats {NODES_VERSION}"
    existing: bpy.types.Material | None = shared(bpy.data.materials, kind)
    if existing is not None:
        return existing
    made, formulas = new_material("3R Splats", kind)
    color = formulas.node("ShaderNodeAttribute", attribute_name=COLOR)
    place = formulas.node("ShaderNodeAttribute", attribute_name=PLACE)
    at, opacity = Field(formulas, place.outputs["Vector"]), Field(formulas, color.outputs["Alpha"])
    distance = formulas.dot(at, at)
    fallen = opacity * formulas.calculate("POWER", opacity * (1 / ALPHA_LEAST), distance * -1.0)
    alpha = formulas.calculate("MINIMUM", fallen, ALPHA_MOST) * formulas.calculate("LESS_THAN", distance, 1.0)
    emission = formulas.value("ShaderNodeEmission", color.outputs["Color"], 1.0)
    through = formulas.value("ShaderNodeBsdfTransparent")
    shader = formulas.value("ShaderNodeMixShader", alpha, through, emission)
    formulas.give(formulas.node("ShaderNodeOutputMaterial").inputs["Surface"], shader)
    made.surface_render_method = "BLENDED"
    made.use_transparency_overlap = True
    return made


def point_material() -> bpy.types.Material:
    """The shared material of points: their colours, opaque."""
    kind = f"splat points {NODES_VERSION}"
    existing: bpy.types.Material = shared(bpy.data.materials, kind) or shining("3R Splat Points", kind, COLOR)
    return existing


def set_up_rendering(scene: bpy.types.Scene) -> None:
    """Set the scene up to render splats as they were made. Only on request: it changes the whole scene's look.

    Splats hold display colours that blend as such, so the view transform becomes Raw, which shows what is rendered
    unchanged; lit objects would look too dark in it. Cycles' rays go on through enough splats, none of them stopped by
    chance (Russian roulette).
    """
    set_view_transform(scene, "Raw")
    let_rays_through(scene)


def let_rays_through(scene: bpy.types.Scene) -> None:
    """Let Cycles' rays go through enough splats, whatever it takes."""
    if hasattr(scene, "cycles"):  # the Cycles add-on may be off
        scene.cycles.transparent_max_bounces = max(scene.cycles.transparent_max_bounces, BOUNCES)
        scene.cycles.min_transparent_bounces = scene.cycles.transparent_max_bounces

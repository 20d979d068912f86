"""[B] How splats look: their materials, and render settings with which Blender shows them as they were made."""

from __future__ import annotations

import bpy

from ...model.splat_rendering import ALPHA_LEAST, ALPHA_MOST
from ..look import new_material, set_view_transform, shared, shining
from ..node_fields import Field
from .nodes import COLOR, PLACE

NODES_VERSION = 1  # raise it when the materials below change, so that old files keep their look
BOUNCES = 256  # splats that a ray of Cycles goes through; behind so many hardly anything is visible


def material() -> bpy.types.Material:
    """The material that all quads share: emission with the Gaussian's opacity, in Cycles and in EEVEE.

    At distance r from the mean, in units where the opacity o has fallen to 1/255 at r = 1, it is o (255 o)^(-r²).
    """
    kind = f"splats {NODES_VERSION}"
    existing: bpy.types.Material | None = shared(bpy.data.materials, kind)
    if existing is not None:
        return existing
    made, formulas = new_material("3R Splats", kind)
    color = formulas.node("ShaderNodeAttribute", attribute_name=COLOR)
    place = formulas.node("ShaderNodeAttribute", attribute_name=PLACE)
    at, opacity = Field(formulas, place.outputs["Vector"]), Field(formulas, color.outputs["Alpha"])
    squared_distance = formulas.dot(at, at)
    fallen = opacity * formulas.calculate("POWER", opacity * (1 / ALPHA_LEAST), squared_distance * -1.0)
    alpha = formulas.calculate("MINIMUM", fallen, ALPHA_MOST) * formulas.calculate("LESS_THAN", squared_distance, 1.0)
    emission = formulas.value("ShaderNodeEmission", color.outputs["Color"], 1.0)
    through = formulas.value("ShaderNodeBsdfTransparent")
    shader = formulas.value("ShaderNodeMixShader", alpha, through, emission)
    formulas.give(formulas.node("ShaderNodeOutputMaterial").inputs["Surface"], shader)
    made.surface_render_method = "BLENDED"
    made.use_transparency_overlap = True
    return made


def point_material() -> bpy.types.Material:
    """The material that all splats shown as points share: opaque, in their colours."""
    kind = f"splat points {NODES_VERSION}"
    existing: bpy.types.Material = shared(bpy.data.materials, kind) or shining("3R Splat Points", kind, COLOR)
    return existing


def set_up_rendering(scene: bpy.types.Scene) -> None:
    """Sets the scene up to render splats as they were made. Only on request, since it changes the whole scene's look.

    Splats hold display colours that blend as such. So the view transform becomes Raw, which shows rendered values
    unchanged; lit objects look too dark in it. Rays of Cycles go through enough splats, and none is stopped by chance
    (Russian roulette).
    """
    set_view_transform(scene, "Raw")
    let_rays_through(scene)


def let_rays_through(scene: bpy.types.Scene) -> None:
    """Lets Cycles' rays go through BOUNCES splats, or through more where the scene allows more already."""
    if hasattr(scene, "cycles"):  # the Cycles add-on may be off
        scene.cycles.transparent_max_bounces = max(scene.cycles.transparent_max_bounces, BOUNCES)
        scene.cycles.min_transparent_bounces = scene.cycles.transparent_max_bounces

"""Facts of the scene for drawing: found once, and anew after objects come or go, an undo, or another file."""

from collections.abc import Iterator

import bpy
import pytest

from threer_blender.ui.scene_facts import SceneFacts


@pytest.fixture
def facts() -> Iterator[SceneFacts]:
    bpy.context.view_layer.update()
    facts = SceneFacts(keeps=True)
    facts.begin()
    yield facts
    facts.end()


def count(facts: SceneFacts) -> int:
    return facts.get("count", lambda: len(bpy.context.scene.objects))


def test_a_fact_is_kept_until_objects_come_or_go(facts: SceneFacts) -> None:
    before = count(facts)
    added = bpy.data.objects.new("Added", None)
    bpy.context.scene.collection.objects.link(added)
    assert count(facts) == before  # Blender has not evaluated it yet: it does so before it draws
    bpy.context.view_layer.update()
    assert count(facts) == before + 1
    bpy.data.objects.remove(added)
    bpy.context.view_layer.update()
    assert count(facts) == before


def test_moving_an_object_keeps_facts(facts: SceneFacts) -> None:
    calls: list[int] = []
    for step in range(3):
        bpy.context.scene.objects[0].location.x = step
        bpy.context.view_layer.update()
        facts.get("calls", lambda: calls.append(1))
    assert len(calls) == 1


@pytest.mark.parametrize("change", ["undo", "load"])
def test_undo_and_loading_let_facts_be_found_anew(facts: SceneFacts, change: str) -> None:
    bpy.ops.ed.undo_push(message="before")
    before = count(facts)
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.ed.undo_push(message="after")
    bpy.context.view_layer.update()
    assert count(facts) == before + 1
    bpy.ops.ed.undo() if change == "undo" else bpy.ops.wm.read_factory_settings()
    assert count(facts) == before


def test_in_scripts_every_fact_is_found_where_it_is_asked_for() -> None:
    facts = SceneFacts(keeps=False)
    before = count(facts)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("Added", None))
    assert count(facts) == before + 1

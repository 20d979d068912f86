"""[B] The still life of the sample photos, modelled from numbers alone. Imports bpy, numpy and its two neighbours.

World: metres, z up, the cloth's middle at the origin, the photographer on the side of negative y.
"""

from __future__ import annotations

from itertools import pairwise

import bpy
import numpy as np

from tests.data.sample_paint import (
    AUTUMN,
    AUTUMN_VEIN,
    BOULDER,
    CITRUS,
    GROUND,
    LEAF,
    LICHEN,
    LICHEN_PALE,
    POMEGRANATE,
    STONE,
    TERRACOTTA,
    VEIN,
    cover,
    glaze,
    leaf,
    oak,
    paper,
    plain,
    quilt,
    stone,
)
from tests.data.sample_shapes import Shape, add, blade, box, bumps, grid, joined, pebble, turned

SEED = 7
CLOTH_SIZE = (1.16, 0.84)  # m
CLOTH_REST = 0.006  # m, height of the cloth where something stands on it
WALL_RADIUS, WALL_HEIGHT, WALL_HALF_ANGLE = 1.38, 0.86, 104.0  # m, m, degrees
PLANK_WIDTH, PLANK_GAP, DECK_HALF = 0.118, 0.005, 1.75  # m


def lay_cloth() -> None:
    """The quilt: folds that grow towards its hem, flat where things stand."""
    x, y = (np.linspace(-size / 2, size / 2, int(size * 260)) for size in CLOTH_SIZE)
    plane = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    flat = np.concatenate([plane, np.zeros((len(plane), 1))], axis=1)
    outward = np.clip(np.hypot(plane[:, 0] / 0.58, plane[:, 1] / 0.42) - 0.62, 0, 1) ** 1.2
    folds = np.abs(bumps(flat, 5.0, 3, 3.1)) * 0.075 * outward
    hem = np.stack([bumps(flat, 3.0, 2, offset) for offset in (11.0, 23.0)], axis=1) * 0.03
    flat[:, :2] = (plane + hem * outward[:, None]) @ np.array([[0.995, 0.1], [-0.1, 0.995]])
    flat[:, 2] = CLOTH_REST + folds + 0.0015 * bumps(flat, 20.0, 2)
    add("cloth", Shape(flat, grid(x, y)), quilt())


def lay_deck(random: np.random.Generator) -> None:
    """Oak planks along x, and the earth around them."""
    planks = []
    for y in np.arange(-DECK_HALF, DECK_HALF, PLANK_WIDTH + PLANK_GAP):
        cuts = np.sort(random.uniform(-DECK_HALF, DECK_HALF, 2))
        ends = [-DECK_HALF, *cuts, DECK_HALF]
        for a, b in pairwise(ends):
            if b - a > 0.1:
                centre = ((a + b) / 2, y, -0.016 + random.uniform(-0.002, 0.001))
                planks.append(box((b - a - PLANK_GAP, PLANK_WIDTH, 0.03), centre, 0.003))
    add("deck", joined(planks, random.uniform(size=len(planks))), oak(), smooth=False)
    side = np.linspace(-6, 6, 240)
    earth = np.stack(np.meshgrid(side, side, [0.0], indexing="ij"), axis=-1).reshape(-1, 3)
    earth[:, 2] = -0.06 + 0.03 * bumps(earth, 2.0, 5)
    add("earth", Shape(earth, grid(side, side)), plain("earth", GROUND, 9.0, 0.6, 0.01))


def build_wall(random: np.random.Generator) -> None:
    """A curved dry-stone wall behind the still life, in courses of stones of uneven size."""
    stones, height = [], -0.05
    while height < WALL_HEIGHT:
        course = random.uniform(0.085, 0.15)
        angle, end = random.uniform(-1, 1, 2) + (-WALL_HALF_ANGLE, WALL_HALF_ANGLE)
        while angle < end - 2:
            span = min(np.degrees(course * random.uniform(1.1, 2.6) / WALL_RADIUS), end - angle)
            length = np.radians(span) * WALL_RADIUS
            size = np.array([length / 2 + 0.004, random.uniform(0.08, 0.11), course / 2 + 0.004])
            lump = pebble(size, random.uniform(4.0, 6.5), 4, 0.022, 9.0, random.uniform(0, 90))
            middle = np.radians(90 - angle - span / 2)
            along = np.array([np.sin(middle), -np.cos(middle), 0])
            outward = np.array([np.cos(middle), np.sin(middle), 0])
            centre = outward * (WALL_RADIUS + random.uniform(-0.012, 0.025)) + (0, 0, height + course / 2)
            stones.append(Shape(lump.vertices @ np.stack([along, outward, [0, 0, 1]]) + centre, lump.faces))
            angle += span
        height += course
    add("wall", joined(stones, random.uniform(size=len(stones))), stone("wall", STONE, 13.0, 0.75, LICHEN_PALE))


def stack_books() -> None:
    """Three marbled books, each turned a little, with a pomegranate on top."""
    books = [
        ((0.30, 0.215, 0.052), 12.0, (0.62, 0.44, 0.22), (0.05, 0.11, 0.20), (0.66, 0.42, 0.12), 24.0),
        ((0.262, 0.19, 0.043), -9.0, (0.45, 0.08, 0.06), (0.11, 0.05, 0.06), (0.70, 0.56, 0.28), 31.0),
        ((0.222, 0.156, 0.036), 27.0, (0.60, 0.47, 0.20), (0.10, 0.24, 0.20), (0.58, 0.18, 0.08), 28.0),
    ]
    leaves, foot = paper(), CLOTH_REST
    for number, ((length, depth, thick), yaw, ground, ink, gold, scale) in enumerate(books):
        board = 0.004
        boards = [box((length, depth, board), (0, 0, z), 0.0012) for z in (board / 2, thick - board / 2)]
        spine = box((board, depth, thick), (-length / 2 + board / 2, 0, thick / 2), 0.0015)
        binding = joined([*boards, spine], np.full(3, 0.13 * number))
        place = (0.245 + 0.012 * number, 0.085 - 0.008 * number, foot)
        add(f"book {number}", binding, cover(f"cover {number}", ground, ink, gold, scale), place, yaw, smooth=False)
        pages = box((length - 0.014, depth - 0.014, thick - 2 * board), (0.002, 0, thick / 2), 0.001)
        add(f"pages {number}", joined([pages], np.array([0.3 * number])), leaves, place, yaw, smooth=False)
        foot += thick
    fruit = pebble((0.046, 0.046, 0.043), 2.2, 5, 0.004, 22.0, 4.0)
    top = np.exp(-((np.hypot(fruit.vertices[:, 0], fruit.vertices[:, 1]) / 0.011) ** 2)) * (fruit.vertices[:, 2] > 0)
    fruit.vertices[:, 2] += 0.014 * top
    add("pomegranate", fruit, plain("pomegranate", POMEGRANATE, 34.0, 0.45, 0.001), (0.285, 0.075, foot + 0.04))


def set_pots(random: np.random.Generator) -> None:
    """The glazed vase with its broad leaves, and a weathered clay pot."""
    vase = [
        (0.0, 0.0),
        (0.055, 0.0),
        (0.066, 0.012),
        (0.098, 0.09),
        (0.108, 0.15),
        (0.092, 0.215),
        (0.058, 0.262),
        (0.046, 0.29),
        (0.054, 0.318),
        (0.062, 0.326),
        (0.056, 0.322),
        (0.040, 0.29),
        (0.03, 0.25),
        (0.0, 0.24),
    ]
    stand = np.array([-0.14, 0.13, CLOTH_REST])
    add("vase", turned(vase), glaze(), stand)
    blades: list[Shape] = []
    for index in range(11):
        heading = 137.5 * index + random.uniform(-15, 15)
        start = stand + (0.018 * np.cos(np.radians(heading)), 0.018 * np.sin(np.radians(heading)), 0.27)
        rise = 84 - 3.6 * index + random.uniform(-4, 4)
        length, width = random.uniform(0.13, 0.19), random.uniform(0.036, 0.05)
        blades += blade(start, heading, rise, length, width, random.uniform(70, 105))
    # A blade is two shapes, the leaf and its stalk, which share a tone.
    add("leaves", joined(blades, np.repeat(random.uniform(size=len(blades) // 2), 2)), leaf("leaf", LEAF, VEIN))
    pot = [
        (0.0, 0.0),
        (0.05, 0.0),
        (0.054, 0.004),
        (0.066, 0.075),
        (0.069, 0.082),
        (0.077, 0.084),
        (0.080, 0.112),
        (0.074, 0.114),
        (0.066, 0.112),
        (0.062, 0.09),
        (0.0, 0.086),
    ]
    add("clay pot", turned(pot), stone("clay", TERRACOTTA, 21.0, 0.55, LICHEN), (-0.385, -0.06, CLOTH_REST + 0.002))


def scatter_fruit_and_rocks() -> None:
    """The foreground: a boulder, a cobble, and oranges."""
    boulder = stone("boulder", BOULDER, 17.0, 0.8, LICHEN_PALE)
    rock = pebble((0.105, 0.078, 0.066), 2.6, 6, 0.034, 7.0, 31.0)
    add("boulder", rock, boulder, (0.13, -0.2, 0.062), 20)
    add("cobble", pebble((0.046, 0.036, 0.028), 2.4, 5, 0.012, 14.0, 8.0), boulder, (0.285, -0.2, 0.034), -30)
    orange = plain("orange", CITRUS, 26.0, 0.4, 0.0012)
    for index, (x, y, radius) in enumerate([(-0.16, -0.13, 0.041), (-0.075, -0.185, 0.038), (-0.2, -0.215, 0.036)]):
        ball = pebble((radius, radius, radius * 0.95), 2.1, 5, 0.0022, 30.0, 5.0 * index)
        place = (x, y, CLOTH_REST + radius * 0.94)
        add(f"orange {index}", joined([ball], np.array([0.37 * index])), orange, place, 70 * index)


def strew(random: np.random.Generator) -> None:
    """Fallen leaves and pebbles on the deck around the cloth."""
    blades: list[Shape] = []
    pebbles: list[Shape] = []
    while len(pebbles) < 70:
        x, y = random.uniform(-1.2, 1.2, 2)
        if np.hypot(x, y) > 1.15 or (abs(x) < 0.66 and abs(y) < 0.5):
            continue
        if random.uniform() < 0.4:
            heading = random.uniform(0, 360)
            length, width = random.uniform(0.045, 0.075), random.uniform(0.016, 0.026)
            rise, droop = random.uniform(2, 9), random.uniform(4, 14)
            blades += blade(np.array([x, y, 0.006]), heading, rise, length, width, droop)
        size = random.uniform(0.007, 0.021) * np.array([1.0, random.uniform(0.6, 0.95), random.uniform(0.45, 0.7)])
        lump = pebble(size, 2.3, 3, 0.25 * float(size[2]), 60.0, random.uniform(0, 90))
        offset = random.uniform(-0.09, 0.09, 2)
        pebbles.append(Shape(lump.vertices + (x + offset[0], y + offset[1], size[2] * 0.8), lump.faces))
    tones = np.repeat(random.uniform(size=len(blades) // 2), 2)
    add("fallen leaves", joined(blades, tones), leaf("autumn leaf", AUTUMN, AUTUMN_VEIN))
    add("pebbles", joined(pebbles, random.uniform(size=len(pebbles))), stone("pebble", STONE, 45.0, 0.3, LICHEN))


def light() -> None:
    """A late-morning sun from the left of the photographer, under a soft, slightly blue sky."""
    sun = bpy.data.lights.new("sun", "SUN")
    sun.energy, sun.angle, sun.color = 4.9, np.radians(6.0), (1.0, 0.89, 0.73)
    lamp = bpy.data.objects.new("sun", sun)
    lamp.rotation_euler = (np.radians(42), 0, np.radians(-38))
    bpy.context.scene.collection.objects.link(lamp)
    world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.70, 0.80, 0.98, 1.0)
    world.node_tree.nodes["Background"].inputs["Strength"].default_value = 1.0
    bpy.context.scene.world = world


def build() -> bpy.types.Scene:
    """Empty Blender's file, model and light the still life; returns the scene (no camera yet)."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    random = np.random.default_rng(SEED)
    lay_cloth()
    lay_deck(random)
    build_wall(random)
    stack_books()
    set_pots(random)
    scatter_fruit_and_rocks()
    strew(random)
    light()
    return bpy.context.scene

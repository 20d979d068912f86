"""Films of a camera that rotates where a photo of the sample was taken."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.sample_photos import true_camera
from threer_blender.model.arrays import Array

SIZE = (480, 270)
FOCAL = 600.0  # px: the frames show the middle of the photo, so that a rotation does not leave it


def turned(photo: Path, count: int, degrees: float) -> Iterator[Array]:
    """Frames (H, W, 3) uint8 of a camera at the photo's place that pans by so many degrees."""
    camera = true_camera(photo.name)
    with Image.open(photo) as image:
        picture = np.asarray(image.convert("RGB").resize((camera.width, camera.height)), float)
    x, y = np.meshgrid(np.arange(SIZE[0]) + 0.5 - SIZE[0] / 2, np.arange(SIZE[1]) + 0.5 - SIZE[1] / 2)
    rays = np.stack([x, y, np.full_like(x, FOCAL)], axis=-1) / FOCAL
    for angle in np.radians(np.linspace(-degrees / 2, degrees / 2, count)):
        rotation = np.array([(np.cos(angle), 0, np.sin(angle)), (0, 1, 0), (-np.sin(angle), 0, np.cos(angle))])
        world = rays @ (camera.world_from_camera[:3, :3] @ rotation).T + camera.world_from_camera[:3, 3]
        yield np.rint(_sampled(picture, camera.project(world.reshape(-1, 3)))).astype(np.uint8).reshape(*x.shape, 3)


def _sampled(picture: Array, pixels: Array) -> Array:
    """The colours (N, 3) of a picture at pixels (N, 2), between the middles of its own pixels; clipped at its edges."""
    limits = np.array(picture.shape[1::-1]) - 1.001
    place = np.clip(pixels - 0.5, 0, limits)
    column, row = place.astype(int).T
    right, down = (place - place.astype(int)).T[..., None]
    above = picture[row, column] * (1 - right) + picture[row, column + 1] * right
    below = picture[row + 1, column] * (1 - right) + picture[row + 1, column + 1] * right
    return above * (1 - down) + below * down

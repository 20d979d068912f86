"""STMaps: Nuke's convention by hand, and there and back within a fiftieth of a pixel."""

import numpy as np
import pytest

from tests.lensed import centres
from threer_blender.lenses import stmaps
from threer_blender.lenses.overscan import Overscan, overscan, without_distortion
from threer_blender.model.arrays import Array
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera

LENSES = [
    Distortion("SIMPLE_RADIAL", (-0.25,)),
    Distortion("OPENCV", (-0.25, 0.05, 1e-3, -5e-4)),
    Distortion("OPENCV_FISHEYE", (-0.02, 0.004, -0.003, 0.0005)),
    Distortion("DIVISION", (-0.3,)),
    Distortion("RADIAL", (0.1, 0.05)),
    Distortion("TDE_RADIAL_4", (0.73, 0.127, 3e-4, 7e-4, 0.064, 5e-4, 7e-4, 0.0, 0.0)),
]


def filmed(distortion: Distortion) -> Camera:
    return Camera("plate", 640, 360, 500, 500, 322, 178, np.eye(4), distortion)


def test_without_distortion_it_is_nukes_identity() -> None:
    """Nuke: S = (x + 0.5) / width, T = (y + 0.5) / height with y from the bottom; rows are stored from the top."""
    straight = stmaps.redistorting(Camera("p", 4, 2, 5, 5, 2, 1, np.eye(4)), Overscan())
    assert straight[..., 0] == pytest.approx(np.tile([0.125, 0.375, 0.625, 0.875], (2, 1)))
    assert straight[..., 1] == pytest.approx(np.repeat([[0.75], [0.25]], 4, axis=1))
    assert (straight[..., 2] == 1).all()
    ring = stmaps.undistorting(Camera("p", 4, 2, 5, 5, 2, 1, np.eye(4)), Overscan(across=2, down=1))
    assert ring.shape == (4, 8, 3)
    assert ring[1, 2] == pytest.approx([0.125, 0.75, 1])
    assert ring[0, 0] == pytest.approx([-0.375, 1.25, 0])


@pytest.mark.parametrize("distortion", LENSES, ids=lambda d: d.model)
def test_there_and_back(distortion: Distortion) -> None:
    """A compositor reads bilinearly between the pixels of the maps, and so does this test.

    The errors are ≤ 0.02 px in the frame, and ≤ 0.05 px in the ring around it.
    """
    camera = filmed(distortion)
    added = overscan([camera])
    width, height = added.size(camera)
    undistort, redistort = stmaps.undistorting(camera, added), stmaps.redistorting(camera, added)
    assert (redistort[..., 2] == 1).all()
    there = places(redistort, width, height)
    back = places(read(undistort, there), 640, 360)
    assert np.linalg.norm(back - centres(640, 360), axis=-1).max() < 0.02

    in_plate = places(undistort, 640, 360)
    inside = (undistort[..., 2] == 1) & (in_plate > 0.5).all(axis=-1) & (in_plate < (639.5, 359.5)).all(axis=-1)
    back = places(read(redistort, np.where(inside[..., None], in_plate, 1.0)), width, height)
    error = np.linalg.norm(back - centres(width, height), axis=-1)
    x, y = np.moveaxis(centres(width, height), -1, 0)
    frame = (np.abs(x - width / 2) < 320) & (np.abs(y - height / 2) < 180)
    assert error[inside & frame].max() < 0.02
    if (inside & ~frame).any():
        assert error[inside & ~frame].max() < 0.05


def test_the_maps_agree_with_the_cameras() -> None:
    """The plate shows a point of the world where the map says, at the pixel at which the ideal camera sees it."""
    camera = filmed(LENSES[1])
    added = overscan([camera])
    ideal = without_distortion(camera, added)
    point = np.array([[0.3, -0.2, 1.0]])
    in_plate = places(read(stmaps.undistorting(camera, added), ideal.project(point)), 640, 360)
    assert in_plate == pytest.approx(camera.project(point), abs=0.01)


def test_what_the_lens_cannot_show_is_marked() -> None:
    folded = Camera("p", 640, 360, 380, 380, 320, 180, np.eye(4), Distortion("SIMPLE_RADIAL", (-0.3,)))
    corner = stmaps.redistorting(folded, overscan([folded]))[0, 0]
    assert corner.tolist() == [-1, -1, 0]


def places(stmap: Array, width: int, height: int) -> Array:
    """(..., 2) the pixels that the values of a map (..., 3) name, counted from the top left."""
    return np.stack([stmap[..., 0] * width, (1 - stmap[..., 1]) * height], axis=-1)


def read(stmap: Array, pixels: Array) -> Array:
    """(..., 3) the values of a map (H, W, 3) at pixels (..., 2): bilinear, in double precision.

    Pixel centres are at halves.
    """
    x, y = pixels[..., 0] - 0.5, pixels[..., 1] - 0.5
    i = np.clip(np.floor(x).astype(int), 0, stmap.shape[1] - 2)
    j = np.clip(np.floor(y).astype(int), 0, stmap.shape[0] - 2)
    a, b = (x - i)[..., None], (y - j)[..., None]
    values = stmap.astype(np.float64)
    upper = values[j, i] * (1 - a) + values[j, i + 1] * a
    return upper * (1 - b) + (values[j + 1, i] * (1 - a) + values[j + 1, i + 1] * a) * b

"""A solve whose truth is known, written as other programs do, each writer by that program's published conventions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from threer_blender.geometry import rotations
from threer_blender.model.arrays import FloatArray
from threer_blender.model.lens import Distortion
from threer_blender.model.quaternions import wxyz_from_matrix
from threer_blender.model.reconstruction import Camera

WIDTH, HEIGHT, FOCAL = 640, 480, 512.5
NAMES = [f"photos of spring/straße {number}.jpg" for number in range(4)]
COUNT = 60


def cameras(distortion: Distortion, centre: tuple[float, float] = (WIDTH / 2, HEIGHT / 2)) -> list[Camera]:
    """Cameras on an arc about the points, each turned a little otherwise."""
    random = np.random.default_rng(1)
    collected = []
    for number, name in enumerate(NAMES):
        angle = 0.3 * number - 0.5
        pose = np.eye(4)
        pose[:3, :3] = rotations.from_vectors(np.array([0, -angle, 0])) @ rotations.from_vectors(
            random.normal(size=3) * 0.05
        )
        pose[:3, 3] = 5 * np.sin(angle), 0.3 * number, 5 - 5 * np.cos(angle)
        collected.append(Camera(name, WIDTH, HEIGHT, FOCAL, FOCAL, *centre, pose, distortion))
    return collected


def points() -> FloatArray:
    """(COUNT, 3) points of the world, in front of all cameras."""
    return np.random.default_rng(2).normal(size=(COUNT, 3)) * 0.6 + (0, 0, 5)


def colors() -> FloatArray:
    """(COUNT, 3) whole numbers from 0 to 255."""
    return np.random.default_rng(3).integers(0, 256, (COUNT, 3)).astype(float)


def tracks(several: list[Camera]) -> list[list[tuple[int, float, float]]]:
    """For each point the numbers of the cameras that see it, with its pixel (x, y) in each.

    The first camera sees none, so that a reader that takes places in the list for numbers fails.
    """
    pixels = [camera.project(points()).tolist() for camera in several]
    return [[(number, *pixels[number][row]) for number in range(1, len(several))] for row in range(COUNT)]


def _text(values: FloatArray) -> str:
    return " ".join(repr(float(value)) for value in np.ravel(values))


def bundler(several: list[Camera], folder: Path) -> Path:
    """Bundler: cameras look along -z with y up. The radial terms distort. Pixels count from the middle, with y up."""
    flip = np.diag([1.0, -1, -1])
    k1, k2 = (*several[0].distortion.params, 0.0, 0.0)[:2]
    lines = ["# Bundle file v0.3", f"{len(several)} {COUNT}"]
    for camera in several:
        pose = flip @ camera.camera_from_world[:3]
        lines += [f"{camera.fx!r} {k1!r} {k2!r}", *(_text(row) for row in pose[:, :3]), _text(pose[:, 3])]
    for position, color, track in zip(points(), colors(), tracks(several), strict=True):
        listed = " ".join(f"{n} 0 {x - WIDTH / 2!r} {HEIGHT / 2 - y!r}" for n, x, y in track)
        lines += [_text(position), _text(color), f"{len(track)} {listed}"]
    (folder / "bundle").mkdir()
    (folder / "list.txt").write_text("".join(f"{camera.photo} 0 {camera.fx!r}\n" for camera in several), "utf-8")
    path = folder / "bundle" / "bundle.out"
    path.write_text("\n".join(lines) + "\n")
    return path


def nvm(several: list[Camera], folder: Path) -> Path:
    """VisualSFM: quotation marks stand for spaces in names. Its distortion is not ours, so the lens has none."""
    lines = ["NVM_V3", "", str(len(several))]
    for camera in several:
        turned = wxyz_from_matrix(camera.camera_from_world[:3, :3])
        name = camera.photo.replace(" ", '"')
        lines.append(f"{name}\t{camera.fx!r} {_text(turned)} {_text(camera.world_from_camera[:3, 3])} 0 0")
    lines += ["", str(COUNT)]
    for position, color, track in zip(points(), colors().astype(int), tracks(several), strict=True):
        listed = " ".join(f"{n} 7 {x - WIDTH / 2!r} {y - HEIGHT / 2!r}" for n, x, y in track)
        lines.append(f"{_text(position)} {' '.join(map(str, color))} {len(track)} {listed}")
    path = folder / "model.nvm"
    path.write_text("\n".join([*lines, "", "0", ""]), "utf-8")
    return path


def opensfm(several: list[Camera], folder: Path) -> Path:
    """OpenSfM: the focal length is in units of the picture's larger side. The principal point is the middle."""
    side = max(WIDTH, HEIGHT)
    first = several[0]
    k1, k2 = (*first.distortion.params, 0.0, 0.0)[:2]
    lens = {"projection_type": "perspective", "width": WIDTH, "height": HEIGHT, "focal": FOCAL / side}
    model = {
        "cameras": {"v2 test": {**lens, "k1": k1, "k2": k2}},
        "shots": {
            camera.photo: {
                "camera": "v2 test",
                "rotation": rotations.to_vectors(camera.camera_from_world[:3, :3]).tolist(),
                "translation": camera.camera_from_world[:3, 3].tolist(),
            }
            for camera in several
        },
        "points": {
            str(number): {"coordinates": position.tolist(), "color": color.tolist()}
            for number, (position, color) in enumerate(zip(points(), colors(), strict=True))
        },
    }
    path = folder / "reconstruction.json"
    path.write_text(json.dumps([model]), "utf-8")
    return path


def openmvg(several: list[Camera], folder: Path) -> Path:
    """OpenMVG: JSON as the library cereal writes it. The views' numbers are not their places in the list."""
    k = (*several[0].distortion.params, 0.0, 0.0)[:3]
    data = {
        "sfm_data_version": "0.3",
        "root_path": "/elsewhere",
        "views": [
            {
                "key": 10 + number,
                "value": {
                    "ptr_wrapper": {
                        "data": {
                            "local_path": str(Path(camera.photo).parent) + "/",
                            "filename": Path(camera.photo).name,
                            "width": WIDTH,
                            "height": HEIGHT,
                            "id_view": 10 + number,
                            "id_intrinsic": 0,
                            "id_pose": 20 + number,
                        }
                    }
                },
            }
            for number, camera in enumerate(several)
        ],
        "intrinsics": [
            {
                "key": 0,
                "value": {
                    "polymorphic_id": 2147483649,
                    "polymorphic_name": "pinhole_radial_k3",
                    "ptr_wrapper": {
                        "data": {
                            "width": WIDTH,
                            "height": HEIGHT,
                            "focal_length": FOCAL,
                            "principal_point": [several[0].cx, several[0].cy],
                            "disto_k3": list(k),
                        }
                    },
                },
            }
        ],
        "extrinsics": [
            {
                "key": 20 + number,
                "value": {
                    "rotation": camera.camera_from_world[:3, :3].tolist(),
                    "center": camera.world_from_camera[:3, 3].tolist(),
                },
            }
            for number, camera in enumerate(several)
        ],
        "structure": [
            {
                "key": row,
                "value": {
                    "X": position.tolist(),
                    "observations": [{"key": 10 + n, "value": {"id_feat": 0, "x": [x, y]}} for n, x, y in track],
                },
            }
            for row, (position, track) in enumerate(zip(points(), tracks(several), strict=True))
        ],
        "control_points": [],
    }
    path = folder / "sfm_data.json"
    path.write_text(json.dumps(data), "utf-8")
    return path


def meshroom(several: list[Camera], folder: Path) -> Path:
    """AliceVision 1.2.3: all numbers are texts, matrices stand column by column, the focal length in millimetres."""
    first = several[0]
    k = (*first.distortion.params, 0.0, 0.0)[:3]

    def texts(values: FloatArray) -> list[str]:
        return [repr(float(value)) for value in np.ravel(values)]

    data = {
        "version": ["1", "2", "3"],
        "views": [
            {"viewId": f"9{number}", "poseId": f"8{number}", "intrinsicId": "5", "path": f"C:\\shoot\\{camera.photo}"}
            for number, camera in enumerate(several)
        ],
        "intrinsics": [
            {
                "intrinsicId": "5",
                "width": str(WIDTH),
                "height": str(HEIGHT),
                "sensorWidth": "6.4",
                "type": "radial3",
                "focalLength": repr(FOCAL / WIDTH * 6.4),
                "pixelRatio": "1",
                "principalPoint": texts(np.array([first.cx - WIDTH / 2, first.cy - HEIGHT / 2])),
                "distortionParams": texts(np.array(k)),
            }
        ],
        "poses": [
            {
                "poseId": f"8{number}",
                "pose": {
                    "transform": {
                        "rotation": texts(camera.camera_from_world[:3, :3].T),  # column by column
                        "center": texts(camera.world_from_camera[:3, 3]),
                    }
                },
            }
            for number, camera in enumerate(several)
        ],
        "structure": [
            {
                "X": texts(position),
                "color": [str(int(value)) for value in color],
                "observations": [{"observationId": f"9{n}"} for n, _, _ in track],
            }
            for position, color, track in zip(points(), colors(), tracks(several), strict=True)
        ],
    }
    path = folder / "cameras.sfm"
    path.write_text(json.dumps(data), "utf-8")
    return path


METASHAPE = """<?xml version="1.0" encoding="UTF-8"?>
<document version="2.0.0"><chunk label="Chunk 1" enabled="true">
<sensors next_id="1"><sensor id="0" label="X" type="frame"><resolution width="{width}" height="{height}"/>
<calibration type="frame" class="initial"><resolution width="{width}" height="{height}"/><f>1</f></calibration>
<calibration type="frame" class="adjusted"><resolution width="{width}" height="{height}"/>
<f>{focal}</f><cx>{cx}</cx><cy>{cy}</cy><k1>{k1}</k1><k2>{k2}</k2><p1>{p2}</p1><p2>{p1}</p2>{more}</calibration></sensor>
</sensors>
<components next_id="1" active_id="0"><component id="0" label="C"><transform><rotation>{rotation}</rotation>
<translation>{translation}</translation><scale>{scale}</scale></transform></component></components>
<cameras next_id="4">{cameras}</cameras></chunk></document>
"""


def metashape(several: list[Camera], folder: Path, more: str = "") -> Path:
    """Metashape: cameras are in their chunk's frame, and the world is that frame scaled, turned and moved.

    Labels have no file endings. P1 and P2 are exchanged against OpenCV's.
    """
    first = several[0]
    k1, k2, p1, p2 = (*first.distortion.params, 0.0, 0.0, 0.0, 0.0)[:4]
    scale, rotation, translation = 2.5, rotations.from_vectors(np.array([0.3, -0.2, 0.9])), np.array([4.0, -1, 2])
    entries = []
    for number, camera in enumerate(several):
        pose = np.eye(4)
        pose[:3, :3] = rotation.T @ camera.world_from_camera[:3, :3]
        pose[:3, 3] = rotation.T @ (camera.world_from_camera[:3, 3] - translation) / scale
        label = Path(camera.photo).stem
        entries.append(
            f'<camera id="{number}" sensor_id="0" component_id="0" label="{label}">'
            f"<transform>{_text(pose)}</transform></camera>"
        )
    entries.append('<camera id="9" sensor_id="0" component_id="0" label="not aligned"/>')
    values = {"width": WIDTH, "height": HEIGHT, "focal": repr(FOCAL)}
    values |= {"cx": repr(first.cx - WIDTH / 2), "cy": repr(first.cy - HEIGHT / 2)}
    values |= {"k1": k1, "k2": k2, "p1": p1, "p2": p2, "more": more, "scale": scale}
    values |= {"rotation": _text(rotation), "translation": _text(translation), "cameras": "\n".join(entries)}
    path = folder / "cameras.xml"
    path.write_text(METASHAPE.format(**values), "utf-8")
    return path


def reality_capture(several: list[Camera], folder: Path) -> Path:
    """RealityCapture: Rz(-heading) Rx(pitch) Ry(roll) is world_from_camera with OpenGL's camera axes, in degrees."""
    k = (*several[0].distortion.params, 0.0, 0.0, 0.0, 0.0)[:4]
    side = max(WIDTH, HEIGHT)
    lines = [f"#cameras {len(several)}", "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2"]
    for camera in several:
        turned = camera.world_from_camera[:3, :3] @ np.diag([1.0, -1, -1])
        pitch = np.arcsin(turned[2, 1])
        heading, roll = np.arctan2(turned[0, 1], turned[1, 1]), np.arctan2(-turned[2, 0], turned[2, 2])
        angles = np.degrees([heading, pitch, roll])
        offset = [(camera.cx - WIDTH / 2) / side, (camera.cy - HEIGHT / 2) / side]
        values = [*camera.world_from_camera[:3, 3], *angles, camera.fx / side * 36, *offset, *k[:2], 0, 0, *k[2:]]
        lines.append(",".join([Path(camera.photo).name, *(repr(float(value)) for value in values)]))
    path = folder / "cameras.csv"
    path.write_text("\ufeff" + "\n".join(lines) + "\n", "utf-8")
    return path


def nerfstudio(several: list[Camera], folder: Path) -> Path:
    """Nerfstudio: transforms.json with OpenGL's camera axes, and the points as PLY."""
    first = several[0]
    k1, k2, p1, p2 = (*first.distortion.params, 0.0, 0.0, 0.0, 0.0)[:4]
    lens = {"w": WIDTH, "h": HEIGHT, "fl_x": FOCAL, "fl_y": FOCAL, "cx": first.cx, "cy": first.cy}
    frames = [
        {
            "file_path": f"./{camera.photo}",
            "transform_matrix": (camera.world_from_camera @ np.diag([1.0, -1, -1, 1])).tolist(),
        }
        for camera in several
    ]
    index = {"camera_model": "OPENCV", **lens, "k1": k1, "k2": k2, "p1": p1, "p2": p2, "frames": frames}
    head = f"ply\nformat ascii 1.0\nelement vertex {COUNT}\n"
    head += "".join(f"property double {axis}\n" for axis in "xyz")
    head += "".join(f"property uchar {color}\n" for color in ("red", "green", "blue"))
    rows = [
        f"{_text(position)} {' '.join(str(int(value)) for value in color)}\n"
        for position, color in zip(points(), colors(), strict=True)
    ]
    (folder / "points.ply").write_text(head + "end_header\n" + "".join(rows), "utf-8")
    path = folder / "transforms.json"
    path.write_text(json.dumps({**index, "ply_file_path": "./points.ply"}), "utf-8")
    return path


Write = Callable[[list[Camera], Path], Path]
RADIAL = Distortion("RADIAL", (-0.12, 0.03))
BROWN = Distortion("OPENCV", (-0.12, 0.03, 0.002, -0.001))
PLAIN = Distortion("PINHOLE")


class Writer(NamedTuple):
    """Writes one format: the function that does it, the lens that the format can hold, and what else it holds."""

    write: Write
    distortion: Distortion
    has_principal_point: bool
    has_points: bool


WRITERS: dict[str, Writer] = {
    "Bundler": Writer(bundler, RADIAL, has_principal_point=False, has_points=True),
    "NVM": Writer(nvm, PLAIN, has_principal_point=False, has_points=True),
    "OpenSfM": Writer(opensfm, RADIAL, has_principal_point=False, has_points=True),
    "OpenMVG": Writer(openmvg, RADIAL, has_principal_point=True, has_points=True),
    "Meshroom": Writer(meshroom, RADIAL, has_principal_point=True, has_points=True),
    "Metashape": Writer(metashape, BROWN, has_principal_point=True, has_points=False),
    "RealityCapture": Writer(reality_capture, BROWN, has_principal_point=True, has_points=False),
    "transforms.json": Writer(nerfstudio, BROWN, has_principal_point=True, has_points=True),
}
OFF_CENTRE = (WIDTH / 2 + 7.25, HEIGHT / 2 - 11.5)


def truth(program: str) -> list[Camera]:
    """The cameras that the writer of a format is given."""
    writer = WRITERS[program]
    return cameras(writer.distortion, OFF_CENTRE) if writer.has_principal_point else cameras(writer.distortion)


def write(program: str, folder: Path) -> Path:
    """Writes the scene as a program would."""
    return WRITERS[program].write(truth(program), folder)

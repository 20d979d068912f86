"""[S] A COLMAP model as text: cameras.txt, images.txt and points3D.txt, by COLMAP's documentation, "Output format".

Cameras are ideal (PINHOLE), and pictures are without distortion. COLMAP's axes and pixels are ours. Points have no
tracks, since dense points are not matched features.
"""

from __future__ import annotations

from pathlib import Path

from ..model.quaternions import wxyz_from_matrix
from .content import Content, digits

MODEL = Path("sparse") / "0"
NO_ERROR = -1  # COLMAP's value for a point whose error was not measured


def write(content: Content, folder: Path) -> list[str]:
    """Writes the model into `folder`/MODEL. Returns no sentences."""
    views, cloud = content.views, content.cloud
    model = folder / MODEL
    model.mkdir(parents=True)
    cameras, images = [], []
    for number, view in enumerate(views, start=1):
        camera = view.camera
        intrinsics = digits(camera.fx, camera.fy, camera.cx, camera.cy)
        cameras.append(f"{number} PINHOLE {camera.width} {camera.height} {intrinsics}\n")
        pose = camera.camera_from_world
        values = [*wxyz_from_matrix(pose[:3, :3]), *pose[:3, 3]]
        images.append(f"{number} {digits(*values)} {number} {view.name}\n\n")
    (model / "cameras.txt").write_text("# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n" + "".join(cameras), "utf-8")
    header = "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME\n# POINTS2D[] as (X, Y, POINT3D_ID)\n"
    (model / "images.txt").write_text(header + "".join(images), "utf-8")
    with (model / "points3D.txt").open("w", encoding="utf-8") as file:
        file.write("# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX)\n")
        if cloud is not None:
            rows = zip(cloud.positions.tolist(), cloud.colors.tolist(), strict=True)
            file.writelines(
                f"{number} {x} {y} {z} {red} {green} {blue} {NO_ERROR}\n"
                for number, ((x, y, z), (red, green, blue)) in enumerate(rows, start=1)
            )
    return []

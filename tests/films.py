"""Films made of the sample's photos, of a camera that stands still."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from PIL import Image

from tests.sample_photos import SAMPLE
from threer_blender.model.arrays import Array


def static_camera(turning: bool, count: int = 24) -> list[Array]:
    """Frames (320, 480, 3) of a camera that stands still, with grain.

    A piece of a photo moves across the picture. Where `turning`, a thing with depth turns on the spot instead: the
    middles of the sample's photos, one after the other.
    """
    random = np.random.default_rng(0)
    pictures = []
    for path in SAMPLE:
        with Image.open(path) as image:
            pictures.append(np.asarray(image.resize((480, 320), Image.Resampling.LANCZOS), float))
    frames = []
    for number in range(count):
        frame = pictures[0][:, ::-1] + random.normal(0, 2, pictures[0].shape)
        if turning:
            frame[80:240, 140:340] = pictures[number * len(pictures) // count][80:240, 140:340]
        else:
            left = 20 + 300 * number // count
            frame[60:180, left : left + 140] = pictures[5][100:220, 150:290]
        frames.append(frame.clip(0, 255).astype(np.uint8))
    return frames


def film(frames: Sequence[Array], path: Path) -> Path:
    """Writes frames (H, W, 3) as an H.264 movie."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def panned(count: int = 30, size: tuple[int, int] = (480, 270), degrees: float = 12.0) -> list[Array]:
    """Frames (H, W, 3) of a camera that pans by so many `degrees` on a tripod. It films a photo that is far away."""
    with Image.open(SAMPLE[0]) as image:
        photo = image.convert("RGB")
    width, height = size
    frames = []
    # 0.7: a frame shows a part of the photo, so that the pan does not leave it.
    for angle in np.radians(np.linspace(-degrees / 2, degrees / 2, count)):
        frame_intrinsics = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]])
        photo_intrinsics = np.array([[photo.width, 0, photo.width / 2], [0, photo.width, photo.height / 2], [0, 0, 1]])
        rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        # From the frame into the photo.
        warp = photo_intrinsics @ rotation @ np.diag([0.7, 0.7, 1]) @ np.linalg.inv(frame_intrinsics)
        coefficients = (warp / warp[2, 2]).ravel()[:8]
        picture = photo.transform(size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)
        frames.append(np.asarray(picture))
    return frames

"""[S] The film back of a camera in millimetres, for programs that have no focal lengths in pixels."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.reconstruction import Camera

FULL_FRAME = 36.0  # mm along the longer side, where the size of the sensor is unknown


@dataclass(frozen=True)
class FilmBack:
    """A film back and a focal length in mm, unsqueezed.

    (`centre_x`, `centre_y`) is the principal point, measured from the middle of the film back, with y up.
    """

    width: float
    height: float
    focal: float
    centre_x: float
    centre_y: float

    @classmethod
    def of(cls, camera: Camera, width: float | None = None) -> FilmBack:
        """The film back of `camera`, `width` mm wide; without a width, its longer side is FULL_FRAME."""
        across, down = camera.width / camera.fx, camera.height / camera.fy  # in focal lengths
        focal = width / across if width else FULL_FRAME / max(across, down)
        return cls(
            width=across * focal,
            height=down * focal,
            focal=focal,
            centre_x=(camera.cx - camera.width / 2) / camera.fx * focal,
            centre_y=(camera.height / 2 - camera.cy) / camera.fy * focal,
        )

"""[S] The film back of a camera: millimetres for programs that know no focal lengths in pixels."""

from __future__ import annotations

from dataclasses import dataclass

from ..model.reconstruction import Camera

FULL_FRAME = 36.0  # mm along the larger side, where nothing says how large the sensor is


@dataclass(frozen=True)
class FilmBack:
    """In mm of the unsqueezed film back; (`centre_x`, `centre_y`) is the principal point from its middle, y up."""

    width: float
    height: float
    focal: float
    centre_x: float
    centre_y: float

    @classmethod
    def of(cls, camera: Camera, width: float | None = None) -> FilmBack:
        """The film back of `camera`, `width` mm wide; by default the larger side is FULL_FRAME."""
        across, down = camera.width / camera.fx, camera.height / camera.fy  # in focal lengths
        focal = width / across if width else FULL_FRAME / max(across, down)
        return cls(
            width=across * focal,
            height=down * focal,
            focal=focal,
            centre_x=(camera.cx - camera.width / 2) / camera.fx * focal,
            centre_y=(camera.height / 2 - camera.cy) / camera.fy * focal,
        )

"""The worker writes masks of the moving things in a solved shot."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from tests.geometry.shots import synthetic_shots
from threer_blender.model.lens import UNKNOWN
from threer_blender.model.reconstruction import Photo, Shot
from threer_blender.pictures import masks
from threer_blender.worker import moving_masks
from threer_blender.worker.tracked_videos import TrackedVideo


def silent(_done: int, _total: int) -> None:
    """Hears how far it is."""


def filmed(walking: float) -> tuple[dict[str, TrackedVideo], Shot]:
    """A shot of points in a box, a share of which walks to the right."""
    shot = synthetic_shots.shot(synthetic_shots.moving(), points=3000, walking=walking, numbers=np.arange(1001, 1025))
    photo = Photo("plate 1001", "plate", *shot.tracks.size, "", frame=1001)
    solved = Shot("plate", "plate", Fraction(24), 24, shot.cameras, first_frame=1001)
    return {"plate": TrackedVideo([photo], UNKNOWN, shot.tracks, None, "")}, solved


def test_what_moves_is_written_as_masks_that_can_be_used(tmp_path: Path) -> None:
    videos, shot = filmed(0.7)
    (sentence,) = moving_masks.write(videos, [shot], tmp_path / "masks", silent)
    assert "something moves of its own" in sentence
    files = sorted((tmp_path / "masks").iterdir())
    assert [file.name[-8:] for file in files] == [f"{number}.png" for number in range(1001, 1025)]
    with Image.open(files[10]) as picture:
        assert (picture.mode, picture.size) == ("L", (synthetic_shots.WIDTH, synthetic_shots.HEIGHT))
    written = masks.from_options({"masks": str(tmp_path / "masks"), "masked": "white", "mask_margin": 0}, shot.cameras)
    assert written is not None
    mask = written.excluded(videos["plate"].photos[0], 1011, (synthetic_shots.WIDTH, synthetic_shots.HEIGHT))
    assert mask is not None
    assert mask.mean() > 0.5


def test_where_nothing_moves_there_are_no_masks(tmp_path: Path) -> None:
    videos, shot = filmed(0.0)
    assert moving_masks.write(videos, [shot], tmp_path / "masks", silent) == []
    assert not (tmp_path / "masks").exists()

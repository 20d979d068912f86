"""The database's cameras follow the photos' EXIF, and a call in it ends when its check raises."""

import time
from pathlib import Path

import pycolmap
import pytest

from threer_blender.geometry.features.database import FeatureSettings, add_image, copy_name, interruptible
from threer_blender.model.errors import Cancelled
from threer_blender.model.reconstruction import Photo

PHOTOS = [
    Photo("a.jpg", "", 4000, 3000, "", focal=3200.0),
    Photo("b.jpg", "", 4000, 3000, "", focal=3200.0),
    Photo("c.jpg", "", 3000, 4000, ""),
]


@pytest.mark.parametrize(("shared", "cameras"), [(True, 2), (False, 3)])
def test_photos_of_one_lens_share_a_camera_in_pixels_of_their_copies(
    tmp_path: Path, shared: bool, cameras: int
) -> None:
    settings = FeatureSettings(long_side=800, features=100, shared_intrinsics=shared)
    known: dict[object, int] = {}
    with pycolmap.Database.open(tmp_path / "d.db") as database:
        for index, photo in enumerate(PHOTOS):
            size = (800, 600) if photo.width > photo.height else (600, 800)
            add_image(database, index, photo, size, known, settings)
        written = database.read_all_cameras()
        names = [image.name for image in database.read_all_images()]
    assert len(written) == cameras
    assert names == [copy_name(index) for index in range(3)]
    assert written[0].focal_length == pytest.approx(640)
    assert written[0].has_prior_focal_length
    assert not written[-1].has_prior_focal_length


def test_a_call_is_cancelled_when_its_check_raises() -> None:
    ended = []

    def endless(token: pycolmap.CancellationToken) -> None:
        while not token.is_cancelled:
            time.sleep(0.01)
        ended.append(True)

    def check() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        interruptible(endless, check)
    assert ended == [True]


def test_a_calls_result_comes_back() -> None:
    assert interruptible(lambda _: 42, lambda: None) == 42

"""An adjustment changes what it may change, and nothing else; with a loss, wrong observations count less."""

import numpy as np
import pycolmap
import pytest

from tests.geometry.sfm.synthetic_models import five_photos
from threer_blender.geometry.sfm.model_adjustment import LensFreedom, adjust, posed_images

FOCAL_ALONE = LensFreedom(focal=True, centre=False, distortion=False)
NOTHING = LensFreedom(focal=False, centre=False, distortion=False)


def adjusted(model: pycolmap.Reconstruction, free: LensFreedom, loss: float | None = None) -> float:
    """The focal length after an adjustment that holds the size of the world by two cameras."""
    config = posed_images(model)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    adjust(model, config, free, 50, loss)
    (camera,) = model.cameras.values()
    return float(camera.focal_length)


@pytest.mark.parametrize("loss", [None, 0.25])
def test_the_focal_length_is_solved_only_where_it_may(loss: float | None) -> None:
    model = five_photos(60)
    (camera,) = model.cameras.values()
    true, before = camera.focal_length, 1.03 * camera.focal_length
    camera.focal_length = before
    centre = camera.principal_point_x, camera.principal_point_y
    assert adjusted(model, NOTHING, loss) == before
    assert adjusted(model, FOCAL_ALONE, loss) == pytest.approx(true, rel=1e-4)
    assert (camera.principal_point_x, camera.principal_point_y) == centre


def test_wrong_observations_count_less_with_a_loss() -> None:
    off = []
    for loss in (None, 0.25):
        model = five_photos(60)
        (camera,) = model.cameras.values()
        true = camera.focal_length
        random = np.random.default_rng(0)
        for image in model.images.values():
            for index in range(0, len(image.points2D), 10):
                image.points2D[index].xy += random.uniform(-30, 30, 2)
        off.append(abs(adjusted(model, FOCAL_ALONE, loss) / true - 1))
    assert off[1] < 1e-3 < off[0]


def test_photos_without_a_pose_are_left_out() -> None:
    model = five_photos(60)
    first, *others = model.images.values()
    model.deregister_frame(first.frame_id)
    assert posed_images(model).images == {image.image_id for image in others}

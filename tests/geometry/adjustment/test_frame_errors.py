"""The numbers by which a frame is assessed."""

import numpy as np

from threer_blender.geometry.adjustment.frame_errors import measure
from threer_blender.geometry.adjustment.tracks import Tracks


def test_a_frames_errors_and_its_coverage() -> None:
    x, y = np.meshgrid(np.arange(16) * 40 + 20.0, np.arange(9) * 40 + 20.0)
    pixels = np.stack([x.ravel(), y.ravel()], axis=1)
    half = pixels[pixels[:, 0] < 320]
    tracks = Tracks(
        np.arange(72 + 5), np.repeat([0, 2], [72, 5]), np.concatenate([half, half[:5]]), np.full(77, np.nan)
    )
    errors = np.concatenate([np.arange(72) / 72, np.ones(5)])
    measured = measure(tracks, errors, 3, (640, 360))
    assert np.isclose(measured.coverage[0], 0.5)
    assert np.isclose(measured.median[0], np.median(errors[:72]))
    assert np.isclose(measured.p95[0], np.percentile(errors[:72], 95))
    assert np.isclose(measured.worst[0], 71 / 72)
    assert measured.inliers[0] == 72
    assert np.isnan([column[1:] for column in vars(measured).values()]).all()  # no tracks, and too few

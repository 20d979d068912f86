"""Reports of shots: their numbers are those of the shot, and the frames that they point at are the bad ones."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Camera, PointCloud, Reconstruction, Shot
from threer_blender.reports import files
from threer_blender.reports.shot_page import page
from threer_blender.reports.shot_report import report

FRAMES = 40


def camera(x: float, fx: float = 500.0) -> Camera:
    pose = np.eye(4)
    pose[0, 3] = x
    return Camera("", 640, 360, fx, fx, 320.0, 180.0, pose)


def cloud(depth: float = 4.0) -> PointCloud:
    random = np.random.default_rng(2)
    positions = random.uniform((-2, -1, depth), (2, 1, depth), (500, 3)).astype(np.float32)
    flat = np.zeros_like(positions)
    return PointCloud(positions, flat, flat.astype(np.uint8), np.ones(500, np.float32), np.zeros(500, np.int32))


def shot(first: int = 1001, **values: Any) -> Shot:
    """A camera that glides sideways; every frame has an error of 0.2 px."""
    random = np.random.default_rng(4)
    spread = random.uniform(0.9, 1.1, FRAMES)
    cameras = {first + i: camera(0.01 * i) for i in range(FRAMES)}
    scales = {"median_error": 0.2, "p95_error": 0.6, "worst_error": 1.5, "inliers": 300.0, "coverage": 0.8}
    errors: dict[str, Any] = {name: (scale * spread).astype(np.float32) for name, scale in scales.items()}
    motion, reason = "free", "Points shift against each other."
    plain = Shot("plate.####.png", "/plate", Fraction(24), FRAMES, cameras, motion, reason, **errors, first_frame=first)
    return replace(plain, **values)


def test_smooth_shot_has_no_jitter_and_nothing_suspicious() -> None:
    whole = report(shot(), cloud())
    assert whole.jitter < 1e-6
    assert whole.suspicious == {}
    assert whole.median == pytest.approx(0.2, rel=0.05)
    assert whole.p95 == pytest.approx(0.6, rel=0.05)
    assert whole.worst_frame is not None
    assert whole.worst_frame[1] == pytest.approx(0.22, rel=0.05)


def test_jitter_is_in_pixels_at_the_median_depth() -> None:
    """Each frame is off sideways by about 2 mm of its own. At 4 m, with a focal length of 500 px, that is 0.25 px."""
    random = np.random.default_rng(6)
    cameras = {1001 + i: camera(0.01 * i + random.normal(0, 0.002)) for i in range(FRAMES)}
    assert report(shot(cameras=cameras), cloud()).jitter == pytest.approx(0.25, rel=0.35)
    assert report(shot(cameras=cameras), cloud(8.0)).jitter == pytest.approx(0.125, rel=0.35)


def test_the_spread_of_each_frame_is_on_the_page_and_in_json(tmp_path: Path) -> None:
    spread = np.full(FRAMES, np.nan, np.float32)
    spread[7] = 0.0125
    spreads: dict[str, Any] = {"position_spread": spread, "rotation_spread": 2 * spread, "focal_spread": 4 * spread}
    result = Reconstruction("colmap", "", [], [], cloud=cloud(), shots=[shot(**spreads)])
    html, numbers = files.write(result, tmp_path / "walk.html")
    row = "<tr><td>1008</td><td>1.2500%</td><td>0.0250°</td><td>5.000%</td></tr>"
    assert row in html.read_text("utf-8")
    frames = json.loads(numbers.read_text("utf-8"))["shots"][0]["by_frame"]
    assert frames[7]["rotation_spread"] == pytest.approx(0.025)
    assert frames[8]["rotation_spread"] is None
    without = Reconstruction("colmap", "", [], [], cloud=cloud(), shots=[shot()])
    assert "Spread" not in page(without)


def test_bad_frames_are_named_with_the_reason() -> None:
    solved = shot()
    assert solved.median_error is not None
    assert solved.coverage is not None
    solved.median_error[5], solved.coverage[9] = 0.9, 0.1
    cameras = dict(solved.cameras)
    cameras[1021] = camera(0.20 + 0.02)  # 2.5 px at 4 m
    del cameras[1031], cameras[1033]
    actual = report(replace(solved, cameras=cameras, missing=(1033,)), cloud()).suspicious
    assert actual[1006] == ["error 0.90 px"]
    assert actual[1010] == ["tracks cover 10% of the picture"]
    assert actual[1031] == ["no camera"]
    assert 1033 not in actual  # there is no such frame
    assert actual[1021][0].startswith("jumps by")
    assert set(actual) <= {1006, 1010, 1031, *range(1019, 1024)}


def result(*shots: Shot) -> Reconstruction:
    return Reconstruction("colmap", "BSD-3-Clause", [], [], cloud=cloud(), shots=list(shots))


def test_files_hold_the_numbers(tmp_path: Path) -> None:
    solved = shot()
    html, numbers = files.write(result(solved, shot(1, median_error=None)), tmp_path / "walk.html")
    document = json.loads(numbers.read_text("utf-8"))
    first, second = document["shots"]
    assert [entry["frame"] for entry in first["by_frame"]] == list(range(1001, 1001 + FRAMES))
    assert solved.p95_error is not None
    np.testing.assert_allclose([entry["p95_error"] for entry in first["by_frame"]], solved.p95_error, atol=1e-5)
    assert second["reprojection_error_px"]["median"] is None
    assert files.write(result(solved), tmp_path / "walk.html") == [html, numbers]  # ours are replaced
    html.write_text("my notes")
    with pytest.raises(UserError, match="choose another name"):
        files.write(result(solved), tmp_path / "walk.html")
    assert html.read_text() == "my notes"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["walk.html", "walk.json"]


def test_versions_in_a_reports_name_stay(tmp_path: Path) -> None:
    for version in ("shot.v2", "shot.v3"):
        files.write(result(shot()), tmp_path / version)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["shot.v2.html", "shot.v2.json", "shot.v3.html", "shot.v3.json"]


def test_a_result_without_a_shot_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no shot"):
        files.write(result(), tmp_path / "x.html")


def test_graphs_show_every_known_value() -> None:
    solved = shot(video="<plate> & co")
    assert solved.median_error is not None
    solved.median_error[10:12] = np.nan
    text = page(result(solved))
    assert "&lt;plate&gt; &amp; co" in text
    graph = ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    lines = graph.findall("polyline")
    counts = [len(line.attrib["points"].split()) for line in lines]
    assert counts == [FRAMES, 10, FRAMES - 12]  # the 95th percentile in one piece, the median in two
    heights = [float(point.split(",")[1]) for point in lines[1].attrib["points"].split()]
    order = np.argsort(solved.median_error[:10])
    assert np.argsort([-height for height in heights]).tolist() == order.tolist()

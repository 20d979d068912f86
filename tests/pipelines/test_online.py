"""Networks that see frames one after the other, through stand-ins that know the world.

Their engines are tested as a whole by test_feed_forward.py.
"""

import gc
import itertools
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks need torch")
import torch

from tests import oracle
from tests.engines.stand_ins import CUT3RStandIn, MUSt3RStandIn, World
from tests.networks import seeded
from tests.networks.parity import SMALL_CASES
from threer_blender.geometry.view_prediction import ViewPrediction
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import PhotoFromMap
from threer_blender.networks import checkpoints, cut3r, dust3r, must3r, spann3r
from threer_blender.networks.inputs import Input
from threer_blender.networks.layers.sizes import TransformerSize
from threer_blender.networks.spann3r import Spann3RState
from threer_blender.networks.spatial_memory import empty
from threer_blender.pipelines import feed_forward, online
from threer_blender.runtime.device import Device

CPU = Device(torch.device("cpu"), torch.float32, "This processor", 2**40)
SIZE = (48, 64)


def world(views: list[oracle.View]) -> World:
    return World(views, [Path(f"{number}.png") for number in range(len(views))])


def frame(number: int) -> Input:
    """The frame whose red says its number, by which stand-ins know it."""
    return Input(np.full((*SIZE, 3), number, np.uint8), PhotoFromMap(1, 1, 0, 0))


def in_view(truth: oracle.View) -> ViewPrediction:
    return ViewPrediction(
        truth.intrinsics, truth.world_from_camera, truth.depth.astype(np.float32), np.full(SIZE, 5.0, np.float32)
    )


def check_views(actual: list[ViewPrediction], truth: list[oracle.View], unit: float = 0.37) -> None:
    """Asserts that views are the true ones, seen from the first, in the stand-ins' `unit`."""
    assert len(actual) == len(truth)
    for view, true in zip(actual, truth, strict=True):
        expected = np.linalg.inv(truth[0].world_from_camera) @ true.world_from_camera
        np.testing.assert_allclose(view.world_from_camera[:3, :3], expected[:3, :3], atol=2e-3)
        np.testing.assert_allclose(view.world_from_camera[:3, 3], unit * expected[:3, 3], atol=5e-3)
        np.testing.assert_allclose(view.depth, unit * true.depth, rtol=0.01)
        assert view.intrinsics[0, 0] == pytest.approx(true.focal, rel=1e-3)


class Spann3RStandIn:
    """Spann3R's answers in the first frame's camera. `blank` frames have no points."""

    def __init__(self, views: list[oracle.View], blank: int = -1) -> None:
        self.views, self.blank = views, blank

    def start(self, image: torch.Tensor) -> Spann3RState:
        return Spann3RState(empty(1, 1, image), dust3r.Encoded(image, (1, 1)))

    def step(self, state: Spann3RState, image: torch.Tensor) -> tuple[dust3r.Pointmap, Spann3RState]:
        return self.last(state), state._replace(encoded=dust3r.Encoded(image, (1, 1)))

    def last(self, state: Spann3RState) -> dust3r.Pointmap:
        number = round(float((state.encoded.tokens[0, 0, 0, 0] + 1) * 127.5))
        points = self.views[number].points - self.views[0].world_from_camera[:3, 3]
        points = 0.37 * points @ self.views[0].world_from_camera[:3, :3]
        if number == self.blank:
            points = np.full_like(points, np.nan)
        return dust3r.Pointmap(torch.tensor(points[None], dtype=torch.float32), torch.full((1, *SIZE), 5.0))


def spann3r_views(network: Any, count: int) -> list[ViewPrediction]:
    return list(online.spann3r_views(network, map(frame, range(count)), CPU))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_views_are_the_worlds(count: int) -> None:
    truth = oracle.orbit(count, SIZE, 40)
    cut3r_network, must3r_network = CUT3RStandIn(world(truth)), MUSt3RStandIn(world(truth))
    check_views(list(online.cut3r_views(cut3r_network, map(frame, range(count)), CPU)), truth)
    check_views(list(online.must3r_views(must3r_network, map(frame, range(count)), CPU)), truth)
    check_views(spann3r_views(Spann3RStandIn(truth), count), truth)


def test_a_frame_without_points_has_no_confidence_and_the_others_are_right() -> None:
    truth = oracle.orbit(5, SIZE, 30)
    views = spann3r_views(Spann3RStandIn(truth, blank=2), 5)
    assert not views[2].confidence.any()
    np.testing.assert_array_equal(views[2].world_from_camera, views[1].world_from_camera)
    check_views(views[:2] + views[3:], truth[:2] + truth[3:])


class BlankCUT3R(CUT3RStandIn):
    """CUT3R's answers, of which one, counted from 0, is NaN throughout."""

    def step(self, state: cut3r.CUT3RState, image: torch.Tensor) -> tuple[cut3r.Prediction, cut3r.CUT3RState]:
        prediction, state = super().step(state, image)
        if len(self.truth.asked) - 1 == 2:
            nothing = dust3r.Pointmap(*(torch.full_like(part, torch.nan) for part in prediction.local))
            prediction = prediction._replace(pose=torch.full_like(prediction.pose, torch.nan), local=nothing)
        return prediction, state


class BlankMUSt3R(MUSt3RStandIn):
    """MUSt3R's answers, of which that of the third frame is NaN throughout."""

    def forward(self, encoded: Any, memory: Any) -> Any:  # type: ignore[override]
        prediction, grown = super().forward(encoded, memory)
        if len(memory.labels) == 2 and len(self.stored) == 2:
            blank = (dust3r.Pointmap(*(torch.full_like(part, torch.nan) for part in each)) for each in prediction)
            prediction = must3r.Prediction(*blank)
        return prediction, grown


def test_a_frame_that_is_nan_has_no_confidence_and_does_not_enter_the_memory() -> None:
    truth = oracle.orbit(5, SIZE, 30)
    must3r_network = BlankMUSt3R(world(truth))
    for views in (
        list(online.cut3r_views(BlankCUT3R(world(truth)), map(frame, range(5)), CPU)),
        list(online.must3r_views(must3r_network, map(frame, range(5)), CPU)),
    ):
        assert not views[2].confidence.any()
        np.testing.assert_array_equal(views[2].world_from_camera, views[1].world_from_camera)
        check_views(views[:2] + views[3:], truth[:2] + truth[3:])
    assert must3r_network.stored[:3] == [0, 2, 2]


def test_a_still_camera_stays_where_it_is() -> None:
    still = oracle.orbit(1, SIZE) * 6
    check_views(list(online.cut3r_views(CUT3RStandIn(world(still)), map(frame, range(6)), CPU)), still)
    check_views(list(online.must3r_views(MUSt3RStandIn(world(still)), map(frame, range(6)), CPU)), still)
    check_views(spann3r_views(Spann3RStandIn(still), 6), still)


BUILDS: dict[str, tuple[Callable[[], Any], Callable[[str], str | None]]] = {
    "cut3r.layout.json": (cut3r.CUT3R, cut3r.rename),
    "must3r.layout.json": (must3r.MUSt3R, must3r.rename),
    "spann3r.layout.json": (spann3r.Spann3R, spann3r.rename),
    "dust3r_512_dpt.layout.json": (dust3r.dpt_512, dust3r.rename),
}


def published(layout: str) -> dict[str, torch.Tensor]:
    """A checkpoint of published names and shapes without values."""
    tensors = seeded.read_layout(SMALL_CASES / layout)
    shapes = {name: tensors[shape] if isinstance(shape, str) else shape for name, shape in tensors.items()}
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("network", "checkpoint"),
    [pair for pair in itertools.permutations(BUILDS, 2) if "dust3r_512_dpt.layout.json" in pair],
)
def test_checkpoints_of_relatives_are_refused(network: str, checkpoint: str) -> None:
    """Those of DUSt3R, whose layout most of the networks contain, into them, and theirs into DUSt3R."""
    with pytest.raises(UserError, match="choose the file that was made for this engine"):
        checkpoints.load(BUILDS[network][0], published(checkpoint), BUILDS[network][1])


def test_only_frames_that_show_something_new_enter_the_memory() -> None:
    still = oracle.orbit(1, SIZE) * 8
    network = MUSt3RStandIn(world(still))
    list(online.must3r_views(network, map(frame, range(8)), CPU))
    assert network.stored == [0, 2, 2, 2, 2, 2, 2]
    around = oracle.orbit(60, SIZE)
    network = MUSt3RStandIn(world(around))
    list(online.must3r_views(network, map(frame, range(60)), CPU))
    assert 10 < network.stored[-1] < 40


def test_overlap_is_the_share_that_the_other_view_shows() -> None:
    views = oracle.orbit(12, SIZE)
    for one, other in [(0, 0), (0, 1), (0, 6)]:
        share = oracle.overlap(views[other], views[one]).mean()
        assert online.overlap(in_view(views[one]), in_view(views[other])) == pytest.approx(share, abs=0.12)
    doubtful = ViewPrediction(*vars(in_view(views[6])).values())
    assert online.is_key(doubtful, in_view(views[0]))
    doubtful.confidence[:] = 1.1
    assert not online.is_key(doubtful, in_view(views[0]))


def test_frames_are_forgotten_once_their_views_are_there() -> None:
    truth = oracle.orbit(3, SIZE, 10)
    references: list[weakref.ref[Any]] = []

    def frames() -> Iterator[Input]:
        for number in range(60):
            image = np.full((*SIZE, 3), number % 3, np.uint8)
            references.append(weakref.ref(image))
            yield Input(image, PhotoFromMap(1, 1, 0, 0))

    spann3r_network: Any = Spann3RStandIn(truth)
    streams = (
        online.cut3r_views(CUT3RStandIn(world(truth)), frames(), CPU),
        online.must3r_views(MUSt3RStandIn(world(truth)), frames(), CPU),
        online.spann3r_views(spann3r_network, frames(), CPU),
    )
    for views in streams:
        for _ in views:
            gc.collect(0)
            assert sum(reference() is not None for reference in references) <= 4
        gc.collect()


SMALL = TransformerSize(64, 4, 4)
NETWORKS: dict[str, Any] = {
    "cut3r": lambda: cut3r.CUT3R(
        cut3r.CUT3RConfig(16, SMALL, SMALL, SMALL, state_heads=2, state_tokens=60, memory_tokens=8)
    ),
    "must3r": lambda: must3r.MUSt3R(must3r.MUSt3RConfig(16, SMALL, SMALL)),
    "spann3r": lambda: spann3r.Spann3R(dust3r.DUSt3RConfig(16, SMALL, SMALL)),
}


def confidences(network: Any, images: list[torch.Tensor]) -> Iterator[torch.Tensor]:
    """The confidence (1, H, W) of each frame, as the network itself says."""
    if isinstance(network, cut3r.CUT3R):
        state = network.initial()
        for image in images:
            prediction, state = network.step(state, image)
            yield prediction.local.confidence
    elif isinstance(network, must3r.MUSt3R):
        memory = network.empty()
        for image in images:
            answer, memory = network(network.encode(image), memory)
            yield answer.local.confidence
    else:
        state = network.start(images[0])
        for image in images[1:]:
            pointmap, state = network.step(state, image)
            yield pointmap.confidence
        yield network.last(state).confidence


@pytest.mark.parametrize("name", NETWORKS)
def test_small_networks_run_in_full_and_in_half_precision(name: str) -> None:
    """The views of networks with random weights mean nothing; but there is one of each frame."""
    torch.manual_seed(0)
    network = NETWORKS[name]().eval().requires_grad_(False)
    for parameter in network.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    random = np.random.default_rng(0)
    frames = [Input(random.integers(0, 256, (*SIZE, 3), np.uint8), PhotoFromMap(1, 1, 0, 0)) for _ in range(4)]
    images = [frame.normalised[None] for frame in frames]
    answers = []
    for device in (CPU, replace(CPU, dtype=torch.bfloat16)):
        views = list(getattr(online, f"{name}_views")(network, frames, device))
        assert [view.depth.shape for view in views] == [SIZE] * 4
        with feed_forward.inference(device):
            answers.append(list(confidences(network, images)))
    for full, half in zip(*answers, strict=True):
        assert full.dtype == half.dtype == torch.float32
        assert (half / full - 1).abs().median() < 0.05

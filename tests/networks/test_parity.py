"""Parity: for the same weights and images, the networks return what the published implementations did."""

import gc
from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", reason="networks need torch")
from tests.networks.parity import CLOSE, Case, cases, difference, log_difference, log_length, network  # noqa: E402
from threer_blender.networks import dust3r, mast3r  # noqa: E402

PAIR_NETWORKS = {
    "dust3r_512_dpt": (dust3r.dpt_512, dust3r.rename),
    "dust3r_224_linear": (dust3r.linear_224, dust3r.rename),
    "mast3r_512_catmlpdpt_metric": (mast3r.metric_512, mast3r.rename),
}
# Published names of a pair network's outputs -> ours.
NAMES = {
    "pts3d": "points",
    "pts3d_in_other_view": "points",
    "conf": "confidence",
    "desc": "descriptors",
    "desc_conf": "descriptor_confidence",
}
# The least value of a confidence, to which exp adds.
FLOOR = {"conf": 1.0, "desc_conf": 0.0}


@pytest.fixture(scope="module")
def loaded() -> Iterator[dict]:
    """Model -> its seeded network; holds one at a time."""
    held: dict = {}
    yield held
    held.clear()


def seeded(case: Case, held: dict) -> torch.nn.Module:
    model = case.facts["model"], case.facts["seed"]
    if model not in held:
        held.clear()
        gc.collect()
        held[model] = network(case, *PAIR_NETWORKS[model[0]])
    return held[model]


@pytest.mark.parametrize("case", cases(*PAIR_NETWORKS))
def test_pair_network(case: Case, loaded: dict) -> None:
    one, two = (image * 2 - 1 for image in case.images())
    with torch.inference_mode():
        views = dict(zip(("view1", "view2"), seeded(case, loaded)(one, two), strict=True))
    expected = case.expected()
    assert expected
    for name, theirs in expected.items():
        view, output = name.split(".")
        ours = getattr(views[view], NAMES[output])
        assert difference(ours, theirs) < CLOSE, name
        if output.startswith("pts3d"):
            assert difference(log_length(ours), log_length(theirs)) < CLOSE, name
        if output in FLOOR:
            assert log_difference(ours, theirs, FLOOR[output]) < CLOSE, name

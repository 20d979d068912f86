"""Parity: for the same weights and images, the networks return what the published implementations did."""

import gc
from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", reason="networks need torch")
from tests.networks.parity import CLOSE, Case, cases, difference, log_difference, log_length, network  # noqa: E402
from threer_blender.networks import dust3r, mast3r, splatt3r  # noqa: E402

PAIR_NETWORKS = {
    "dust3r_512_dpt": (dust3r.dpt_512, dust3r.rename),
    "dust3r_224_linear": (dust3r.linear_224, dust3r.rename),
    "mast3r_512_catmlpdpt_metric": (mast3r.metric_512, mast3r.rename),
    "splatt3r": (splatt3r.network, splatt3r.rename),
}
# Published names of a pair network's outputs -> ours.
NAMES = {
    "pts3d": "points",
    "pts3d_in_other_view": "points",
    "conf": "confidence",
    "desc": "descriptors",
    "desc_conf": "descriptor_confidence",
    "means": "means",
    "scales": "scales",
    "rotations": "rotations",
    "sh": "colours",
    "opacities": "opacities",
}
# Outputs that are a number plus exp -> that number.
FLOOR = {"conf": 1.0, "scales": 0.0, "desc_conf": 0.0}


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
        held[model] = network(case, *PAIR_NETWORKS[model[0]], case.facts.get("checkpoint_prefix", ""))
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
        ours = getattr(views[view], NAMES[output]).view(theirs.shape)  # some have an axis of one more
        assert difference(ours, theirs) < CLOSE, name
        if output.startswith("pts3d"):
            assert difference(log_length(ours), log_length(theirs)) < CLOSE, name
        if output in FLOOR:
            assert log_difference(ours, theirs, FLOOR[output]) < CLOSE, name

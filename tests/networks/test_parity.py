"""Parity: for the same weights and images, the networks return what the published implementations did."""

import pytest

pytest.importorskip("torch", reason="networks need torch")
import torch

from tests.networks.parity import CLOSE, Case, Networks, cases, difference, is_points, log_difference, log_length
from threer_blender.networks import dust3r, mast3r, splatt3r

PAIR_NETWORKS = {  # each has most of the tensors of the one before it
    "dust3r_224_linear": (dust3r.linear_224, dust3r.rename),
    "dust3r_512_dpt": (dust3r.dpt_512, dust3r.rename),
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
def networks() -> Networks:
    return Networks()


@pytest.mark.parametrize("case", cases(*PAIR_NETWORKS))
def test_pair_network(case: Case, networks: Networks) -> None:
    network = networks.get(case, *PAIR_NETWORKS[case.facts["model"]])
    one, two = (image * 2 - 1 for image in case.images())
    with torch.inference_mode():
        views = dict(zip(("view1", "view2"), network(one, two), strict=True))
    expected = case.expected()
    assert expected
    for name, theirs in expected.items():
        view, output = name.split(".")
        ours = theirs.of(getattr(views[view], NAMES[output]))
        assert difference(ours, theirs.values) < CLOSE, name
        if is_points(output):
            assert difference(log_length(ours), log_length(theirs.values)) < CLOSE, name
        if output in FLOOR:
            assert log_difference(ours, theirs.values, FLOOR[output]) < CLOSE, name

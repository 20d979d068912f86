"""[R] LightGlue: which keypoints of two photos are the same point. torch, inference only.

Lindenberger, Sarlin, Pollefeys, "LightGlue: Local Feature Matching at Light Speed", ICCV 2023 (arXiv:2306.13643).
Weights for ALIKED: Apache-2.0. Parameters are named as in the published checkpoint, which loads strictly.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .aliked import DIMENSIONS, Features

WIDTH = 256  # of a point's state
HEADS = 4
LAYERS = 9
LEAST_PROBABILITY = 0.1  # of a match
ENOUGH = 0.95  # of all points sure of their match: the remaining layers are spared (section 3.3)
UNMATCHABLE = 0.01  # a sure point with less chance of a match is left out of the remaining layers


class LightGlue(nn.Module):
    """Matches between two photos' ALIKED features."""

    def __init__(self) -> None:
        super().__init__()
        self.input_proj = nn.Linear(DIMENSIONS, WIDTH)
        self.posenc = PositionalEncoding()
        self.transformers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.log_assignment = nn.ModuleList(Assignment() for _ in range(LAYERS))
        self.token_confidence = nn.ModuleList(Confidence() for _ in range(LAYERS - 1))

    def forward(self, features: tuple[Features, Features], sizes: tuple[Tensor, Tensor]) -> Tensor:
        """(M, 2) indices of matching keypoints of the two photos, whose width and height are `sizes` (2,)."""
        states = [self.input_proj(f.descriptors) for f in features]
        photos = zip(features, sizes, strict=True)
        rotations = [self.posenc((f.keypoints + 0.5 - size / 2) / (size.max() / 2)) for f, size in photos]
        left = [torch.arange(len(state), device=state.device) for state in states]
        total = sum(len(state) for state in states)
        for number, layer in enumerate(self.transformers):
            if min(len(state) for state in states) == 0:
                return torch.empty((0, 2), dtype=torch.long)
            states = layer(states, rotations)
            if number == LAYERS - 1:
                break
            confident = [self.token_confidence[number](state) > certainty(number) for state in states]
            if sum(int((~s).sum()) for s in confident) < (1 - ENOUGH) * total:
                break
            for side, matchable in enumerate(map(self.log_assignment[number].matchable, states)):
                stays = (matchable > math.log(UNMATCHABLE)) | ~confident[side]
                states[side], left[side] = states[side][stays], left[side][stays]
                rotations[side] = rotations[side][:, stays]
        matches = self.log_assignment[number](*states)
        return torch.stack([left[0][matches[0]], left[1][matches[1]]], dim=1)


def certainty(layer: int) -> float:
    """The confidence beyond which a point is sure after `layer`: early layers ask for more."""
    return 0.8 + 0.1 * math.exp(-4 * layer / LAYERS)


class PositionalEncoding(nn.Module):
    """Rotary encoding of positions with learned frequencies (equation 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.Wr = nn.Linear(2, WIDTH // HEADS // 2, bias=False)

    def forward(self, positions: Tensor) -> Tensor:
        """(2, K, 1, 32) cosines and sines of the turns of each pair of a head's coordinates."""
        angles = self.Wr(positions)[:, None]
        return torch.stack([angles.cos(), angles.sin()])


def rotated(x: Tensor, rotation: Tensor) -> Tensor:
    """x (K, heads, 64) with each pair of neighbouring coordinates rotated."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cosines, sines = rotation
    return torch.stack([even * cosines - odd * sines, even * sines + odd * cosines], dim=-1).flatten(-2)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax attention of (K, heads, 64) over (L, heads, 64), heads joined: (K, 256)."""
    batched = (x.transpose(0, 1)[None] for x in (query, key, value))
    return functional.scaled_dot_product_attention(*batched)[0].transpose(0, 1).flatten(1)


def heads(x: Tensor) -> Tensor:
    """(…, width) -> (…, heads, width of a head)."""
    return x.unflatten(-1, (HEADS, -1))


def feed_forward() -> nn.Sequential:
    """The layers that turn a state and its message (…, 2 width) into a change of the state (…, width)."""
    return nn.Sequential(
        nn.Linear(2 * WIDTH, 2 * WIDTH), nn.LayerNorm(2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH)
    )


class Layer(nn.Module):
    """Points of a photo look at each other, then at those of the other photo."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = SelfAttention()
        self.cross_attn = CrossAttention()

    def forward(self, states: list[Tensor], rotations: list[Tensor]) -> list[Tensor]:
        first, second = (self.self_attn(state, rotation) for state, rotation in zip(states, rotations, strict=True))
        return [self.cross_attn(first, second), self.cross_attn(second, first)]


class SelfAttention(nn.Module):
    """Points of one photo look at each other, by their places too."""

    def __init__(self) -> None:
        super().__init__()
        self.Wqkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out_proj = nn.Linear(WIDTH, WIDTH)
        self.ffn = feed_forward()

    def forward(self, state: Tensor, rotation: Tensor) -> Tensor:
        query, key, value = self.Wqkv(state).unflatten(-1, (HEADS, -1, 3)).unbind(-1)
        message = self.out_proj(attend(rotated(query, rotation), rotated(key, rotation), value))
        return state + self.ffn(torch.cat([state, message], dim=-1))


class CrossAttention(nn.Module):
    """Query and key are one projection, so that both directions see the same similarity (equation 7)."""

    def __init__(self) -> None:
        super().__init__()
        self.to_qk = nn.Linear(WIDTH, WIDTH)
        self.to_v = nn.Linear(WIDTH, WIDTH)
        self.to_out = nn.Linear(WIDTH, WIDTH)
        self.ffn = feed_forward()

    def forward(self, state: Tensor, other: Tensor) -> Tensor:
        query, key, value = (heads(x) for x in (self.to_qk(state), self.to_qk(other), self.to_v(other)))
        return state + self.ffn(torch.cat([state, self.to_out(attend(query, key, value))], dim=-1))


class Confidence(nn.Module):
    """How sure a point is that later layers will not change its match, 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Sequential(nn.Linear(WIDTH, 1), nn.Sigmoid())

    def forward(self, state: Tensor) -> Tensor:
        return self.token(state)[:, 0]


class Assignment(nn.Module):
    """Section 3.2: similarity both ways, times the chance that each point has a match at all."""

    def __init__(self) -> None:
        super().__init__()
        self.matchability = nn.Linear(WIDTH, 1)
        self.final_proj = nn.Linear(WIDTH, WIDTH)

    def matchable(self, state: Tensor) -> Tensor:
        """(K,) logarithm of the chance that a point has a match."""
        return functional.logsigmoid(self.matchability(state))[:, 0]

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of the points that choose each other and are likely enough to be one."""
        similarity = self.final_proj(first) @ self.final_proj(second).T / WIDTH**0.5
        likely = torch.log_softmax(similarity, 0) + torch.log_softmax(similarity, 1)
        likely = likely + self.matchable(first)[:, None] + self.matchable(second)
        best, choice = likely.max(dim=1)
        mutual = likely.argmax(dim=0)[choice] == torch.arange(len(first), device=first.device)
        matched = torch.nonzero(mutual & (best > math.log(LEAST_PROBABILITY)))[:, 0]
        return matched, choice[matched]

"""[R] LightGlue: matches the keypoints of two photos. torch, inference only.

Lindenberger, Sarlin, Pollefeys, "LightGlue: Local Feature Matching at Light Speed", ICCV 2023 (arXiv:2306.13643).
Weights for ALIKED: Apache-2.0. Parameters are named as in the published checkpoint, which loads strictly.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .aliked import DIMENSIONS, Features

WIDTH = 256  # channels of a keypoint's state
HEADS = 4
LAYERS = 9
LEAST_PROBABILITY = 0.1  # of a match
ENOUGH = 0.95  # share of confident keypoints from which the remaining layers are skipped (section 3.3)
UNMATCHABLE = 0.01  # confident keypoints with a lower probability of a match are dropped from the remaining layers


class LightGlue(nn.Module):
    """The network: ALIKED features of two photos -> matches."""

    def __init__(self) -> None:
        super().__init__()
        self.input_proj = nn.Linear(DIMENSIONS, WIDTH)
        self.posenc = PositionalEncoding()
        self.transformers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.log_assignment = nn.ModuleList(Assignment() for _ in range(LAYERS))
        self.token_confidence = nn.ModuleList(Confidence() for _ in range(LAYERS - 1))

    def forward(self, features: tuple[Features, Features], sizes: tuple[Tensor, Tensor]) -> Tensor:
        """(M, 2) indices of matching keypoints in the two photos. `sizes` are (2,) width and height of each photo."""
        states = [self.input_proj(f.descriptors) for f in features]
        photos = zip(features, sizes, strict=True)
        rotations = [self.posenc((f.keypoints + 0.5 - size / 2) / (size.max() / 2)) for f, size in photos]
        remaining = [torch.arange(len(state), device=state.device) for state in states]  # indices of keypoints
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
                states[side], remaining[side] = states[side][stays], remaining[side][stays]
                rotations[side] = rotations[side][:, stays]
        matches = self.log_assignment[number](*states)
        return torch.stack([remaining[0][matches[0]], remaining[1][matches[1]]], dim=1)


def certainty(layer: int) -> float:
    """The confidence above which a keypoint counts as confident after `layer` (from 0). Early layers need more."""
    return 0.8 + 0.1 * math.exp(-4 * layer / LAYERS)


class PositionalEncoding(nn.Module):
    """Rotary encoding of positions with learned frequencies (equation 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.Wr = nn.Linear(2, WIDTH // HEADS // 2, bias=False)

    def forward(self, positions: Tensor) -> Tensor:
        """Positions (K, 2) -> (2, K, 1, 32): cosines and sines of the rotation angles of each pair of coordinates."""
        angles = self.Wr(positions)[:, None]
        return torch.stack([angles.cos(), angles.sin()])


def rotated(x: Tensor, rotation: Tensor) -> Tensor:
    """x (K, heads, 64) with each pair of neighbouring coordinates rotated by `rotation` (2, K, 1, 32)."""
    even, odd = x[..., 0::2], x[..., 1::2]
    cosines, sines = rotation
    return torch.stack([even * cosines - odd * sines, even * sines + odd * cosines], dim=-1).flatten(-2)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """(K, 256): softmax attention of `query` (K, heads, 64) to `key` and `value` (L, heads, 64), with heads joined."""
    batched = (x.transpose(0, 1)[None] for x in (query, key, value))
    return functional.scaled_dot_product_attention(*batched)[0].transpose(0, 1).flatten(1)


def heads(x: Tensor) -> Tensor:
    """(…, WIDTH) -> (…, HEADS, WIDTH / HEADS)."""
    return x.unflatten(-1, (HEADS, -1))


def feed_forward() -> nn.Sequential:
    """Layers that take a state and a message (…, 2 WIDTH) to a change of the state (…, WIDTH)."""
    return nn.Sequential(
        nn.Linear(2 * WIDTH, 2 * WIDTH), nn.LayerNorm(2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH)
    )


class Layer(nn.Module):
    """The keypoints of each photo attend to each other, then to those of the other photo."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = SelfAttention()
        self.cross_attn = CrossAttention()

    def forward(self, states: list[Tensor], rotations: list[Tensor]) -> list[Tensor]:
        first, second = (self.self_attn(state, rotation) for state, rotation in zip(states, rotations, strict=True))
        return [self.cross_attn(first, second), self.cross_attn(second, first)]


class SelfAttention(nn.Module):
    """The keypoints of one photo attend to each other, also by their positions."""

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
    """The keypoints of one photo attend to those of the other.

    Queries and keys are the same projection, so that both directions use the same similarities (equation 7).
    """

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
    """The confidence, from 0 to 1, that later layers will not change a keypoint's match: states (K, 256) -> (K,)."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Sequential(nn.Linear(WIDTH, 1), nn.Sigmoid())

    def forward(self, state: Tensor) -> Tensor:
        return self.token(state)[:, 0]


class Assignment(nn.Module):
    """The assignment of section 3.2: similarity in both directions, times the probabilities of having any match."""

    def __init__(self) -> None:
        super().__init__()
        self.matchability = nn.Linear(WIDTH, 1)
        self.final_proj = nn.Linear(WIDTH, WIDTH)

    def matchable(self, state: Tensor) -> Tensor:
        """(K,) the logarithm of the probability that a keypoint has a match."""
        return functional.logsigmoid(self.matchability(state))[:, 0]

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Indices (M,) and (M,) of matching keypoints: those that are each other's best, with LEAST_PROBABILITY."""
        similarity = self.final_proj(first) @ self.final_proj(second).T / WIDTH**0.5
        log_probability = torch.log_softmax(similarity, 0) + torch.log_softmax(similarity, 1)
        log_probability = log_probability + self.matchable(first)[:, None] + self.matchable(second)
        best, choice = log_probability.max(dim=1)
        mutual = log_probability.argmax(dim=0)[choice] == torch.arange(len(first), device=first.device)
        matched = torch.nonzero(mutual & (best > math.log(LEAST_PROBABILITY)))[:, 0]
        return matched, choice[matched]

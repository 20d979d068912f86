"""[R] Cameras as VGGT and its kin predict them: translation, quaternion and field of view in nine numbers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ...model.quaternions import matrix_elements


def matrices_from_xyzw(quaternions: Tensor) -> Tensor:
    """Quaternions (N, 4) in the order xyzw, of any length -> rotation matrices (N, 3, 3)."""
    x, y, z, w = functional.normalize(quaternions, dim=-1).unbind(-1)
    return torch.stack(matrix_elements(w, x, y, z), dim=-1).unflatten(-1, (3, 3))


def camera_matrices(encoding: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Decodes `encoding` (N, 9): translation, quaternion xyzw, vertical and horizontal field of view in radians.

    Returns [R | t] (N, 3, 4) and K (N, 3, 3). VGGT's [R | t] leads from the world to the camera, Depth Anything 3's
    from the camera to the world. K is in pixels of a picture of `height` and `width`, whose centre is the principal
    point.
    """
    matrices = torch.cat([matrices_from_xyzw(encoding[:, 3:7]), encoding[:, :3, None]], dim=2)
    half_tangents = (encoding[:, 7:] / 2).tan().clamp(min=1e-6)
    intrinsics = encoding.new_zeros(len(encoding), 3, 3)
    intrinsics[:, 0, 0], intrinsics[:, 1, 1] = width / 2 / half_tangents[:, 1], height / 2 / half_tangents[:, 0]
    intrinsics[:, 0, 2], intrinsics[:, 1, 2], intrinsics[:, 2, 2] = width / 2, height / 2, 1
    return matrices, intrinsics


def inverted(matrices: Tensor) -> Tensor:
    """The inverses (N, 3, 4) of rigid transforms [R | t] (N, 3, 4)."""
    rotation = matrices[:, :, :3].mT
    return torch.cat([rotation, -rotation @ matrices[:, :, 3:]], dim=2)

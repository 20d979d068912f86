"""[R] The common declaration and `reconstruct` of engines whose network sees many photos at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..model.engine import Cost, Engine, Reconstruct, Report, Weights
from ..model.reconstruction import Photo, Reconstruction
from .options import REFINE, SHOT

if TYPE_CHECKING:
    from ..pipelines.feed_forward import Load

# The most and the fewest photos that a network sees at once. With more than MOST, networks that were trained on two
# dozen become unreliable, and time grows with the square. Chunks of fewer than FEWEST share too few photos.
MOST, FEWEST = 100, 12


def declared(id: str, label: str, summary: str, weights: Weights, cost: Cost, *, commercial: bool) -> Engine:
    """The declaration of such an engine. Its licence is that of its weights. `cost` is that of all photos at once."""
    return Engine(
        id,
        label,
        summary,
        weights.licence,
        commercial,
        requires=("torch", "numba", "pycolmap", "PIL", "pillow_heif"),
        options=(REFINE, *SHOT),
        weights=(weights,),
        costs={"": cost.in_parts(MOST, FEWEST)},
        can_start_splats=True,
    )


def reconstruct_by(engine: Engine, load: Load) -> Reconstruct:
    """The `reconstruct` of such an engine. `load` makes its network from the tensors of its checkpoint."""

    def reconstruct(photos: Sequence[Photo], options: Mapping[str, Any], report: Report) -> Reconstruction:
        """Cameras, pointmaps and a cloud. Raises UserError where weights or memory are missing."""
        from ..pipelines import feed_forward

        return feed_forward.reconstruct(engine, photos, options, load, report)

    return reconstruct

"""[S] The common declaration of DUSt3R, MASt3R and Splatt3R, whose networks compare photos pair by pair."""

from __future__ import annotations

from ..model.engine import IN_PAIRS, Cost, Engine, Option, Weights

LICENCE = "CC-BY-NC-SA-4.0"


def declaration(
    id: str,
    label: str,
    summary: str,
    weights: Weights,
    options: tuple[Option, ...],
    seconds_per_pair: float,
    metric: bool,
) -> Engine:
    """The declaration of an engine on photo pairs. `seconds_per_pair` is the time on two cores."""
    return Engine(
        id,
        label,
        summary,
        LICENCE,
        commercial=False,
        requires=("torch", "numba", "pycolmap", "PIL", "pillow_heif"),
        options=options,
        weights=(weights,),
        costs={  # "": whatever the options
            "": Cost(
                memory=1.2e9,
                memory_per_photo=0.02e9,
                seconds=10.0,
                seconds_per_photo=9.0,
                seconds_per_pair=seconds_per_pair,
                neighbours=8,
            )
        },
        can_start_splats=True,
        group=IN_PAIRS,
        metric=metric,
    )

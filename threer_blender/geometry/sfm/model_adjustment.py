"""[R] Bundle adjustment of a finished model, by pycolmap: its photos, the lenses' freedom, the loss."""

from __future__ import annotations

from dataclasses import dataclass

from ..colmap import pycolmap


@dataclass(frozen=True)
class LensFreedom:
    """The parameters that the solver may change, the same for all lenses."""

    focal: bool
    centre: bool
    distortion: bool


def posed_images(model: pycolmap.Reconstruction) -> pycolmap.BundleAdjustmentConfig:
    """The problem with all photos that have a pose. Nothing is held yet."""
    config = pycolmap.BundleAdjustmentConfig()
    for image in model.images.values():
        if image.has_pose:
            config.add_image(image.image_id)
    return config


def adjust(
    model: pycolmap.Reconstruction,
    config: pycolmap.BundleAdjustmentConfig,
    free: LensFreedom,
    rounds: int,
    loss: float | None = None,
) -> None:
    """Adjusts the cameras of `config` and the points that they see, in place, in at most `rounds` iterations. The
    errors that the model stores with its points are not updated.

    `loss` is the scale of Cauchy's loss in pixels of the copies; None squares all errors.
    """
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_focal_length = free.focal
    options.refine_principal_point = free.centre
    options.refine_extra_params = free.distortion
    options.print_summary = False
    if loss is not None:
        options.ceres.loss_function_type = pycolmap.LossFunctionType.CAUCHY
        options.ceres.loss_function_scale = loss
    options.ceres.solver_options.num_threads = 1
    options.ceres.solver_options.max_num_iterations = rounds
    pycolmap.create_default_bundle_adjuster(options, config, model).solve()

"""[R] New photos in the world of photos whose cameras are known: points from these, then poses, then an adjustment.

The matches of the known cameras are triangulated. Each new photo is registered by the points that it sees (PnP with
RANSAC, as in COLMAP: Schönberger & Frahm 2016). Then all is adjusted, with the known cameras held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...model.engine import ReportStage
from ...model.errors import UserError
from ...model.reconstruction import Camera
from ..colmap import pycolmap
from ..features.database import Matched, copy_name
from . import known_lenses, mappers, mapping
from .mapping import KEYPOINT_ERROR, MAPPING, MappingSolution
from .model_adjustment import adjust, posed_images
from .model_selection import Model, Pair, ScoredModel, read_pairs, score_model

LEAST_POINTS = 50  # that must be triangulated from the known cameras
LARGEST_ERROR = 3.0  # px of the copies: a larger mean reprojection error means that the known cameras are wrong
ROUNDS = 50  # of the last adjustment, at most

NOTHING_COMMON = (
    "None of the new photos could be solved against the reference: they show too little of what its photos show; add "
    "photos from between, or choose the reference of this place."
)
CONTRADICTS = (
    "The reference does not fit its own photos: their details do not meet where its cameras say; choose the result "
    "that was made of these photos, or solve them anew."
)


def solve_against(matched: Matched, reference: Mapping[int, Camera], report: ReportStage) -> MappingSolution:
    """The cameras of all photos in the world of `reference`, the known cameras by the index of their photo, which stay.

    Raises UserError where no new photo fits, or the reference does not fit its own photos. Raises what `report` raises.
    """
    count = len(matched.photos)
    pairs = read_pairs(matched)
    report(MAPPING, 0, count)
    model = _triangulated(matched, reference)
    if model.num_points3D() < LEAST_POINTS or model.compute_mean_reprojection_error() > LARGEST_ERROR:
        raise UserError(CONTRADICTS)
    held = {model.image(index + 1).camera_id for index in reference}
    new = replace(matched, photos=[photo for index, photo in enumerate(matched.photos) if index not in reference])
    # Mapping looks at these photos alone to decide which unknowns of the lenses are free.
    candidate = mappers.against(model, held, new)
    larger = mappers.run(candidate, matched, lambda registered: report(MAPPING, registered, count))
    if not larger:
        raise UserError(NOTHING_COMMON)
    model = max(larger, key=lambda each: each.num_reg_images())
    _adjust(model, matched, reference, held)
    best = _scored(model, matched, pairs, reference)
    report(MAPPING, count, count)
    if not best.registered - reference.keys():
        raise UserError(NOTHING_COMMON)
    solution = mapping.solution(best, [best], matched, note="", as_is=True)
    known = {matched.photos[index].name: camera for index, camera in reference.items()}
    cameras = [
        replace(known[each.photo], undistorted="", reprojection_error=each.reprojection_error, error_before=None)
        if each.photo in known
        else each
        for each in solution.cameras
    ]
    return replace(solution, cameras=cameras)


def _scored(model: Model, matched: Matched, pairs: Sequence[Pair], reference: Mapping[int, Camera]) -> ScoredModel:
    """The model with the photos whose matches it explains, and with those of the reference that see a point."""
    scored = score_model("against", model, matched, pairs)
    visible = {index for index in reference if model.image(index + 1).num_points3D > 0}
    return replace(scored, registered=frozenset(scored.registered | visible), fault="")


def _triangulated(matched: Matched, reference: Mapping[int, Camera]) -> Model:
    """A model of the known cameras, and the points triangulated from their matches."""
    model = pycolmap.Reconstruction()
    with pycolmap.Database.open(matched.path) as database:
        numbers = {image.image_id: image.camera_id for image in database.read_all_images()}
        for camera in database.read_all_cameras():
            model.add_camera_with_trivial_rig(camera)
    for index, known in reference.items():
        image = pycolmap.Image(name=copy_name(index), camera_id=numbers[index + 1], image_id=index + 1)
        pose = pycolmap.Rigid3d(known.camera_from_world[:3])
        model.add_image_with_trivial_frame(image, pose)
    folder = matched.path.parent
    options = mappers.incremental_options(matched)
    options.triangulation.ignore_two_view_tracks = False
    pycolmap.triangulate_points(model, matched.path, folder, folder, clear_points=True, options=options)
    model.update_point_3d_errors()
    return model


def _adjust(model: Model, matched: Matched, reference: Mapping[int, Camera], held: set[int]) -> None:
    """Adjusts the new cameras and all points, in place, robust to wrong matches. The known cameras are held."""
    free = known_lenses.freedom([photo for index, photo in enumerate(matched.photos) if index not in reference])
    config = posed_images(model)
    for image in model.images.values():
        if image.has_pose and image.image_id - 1 in reference:
            config.set_constant_rig_from_world_pose(image.frame_id)
    for number in held:
        config.set_constant_cam_intrinsics(number)
    adjust(model, config, replace(free, centre=False), ROUNDS, KEYPOINT_ERROR)
    model.update_point_3d_errors()

"""A module's tests stand at the module's own place in tests/, or where this file says and why."""

from fnmatch import fnmatch
from pathlib import Path

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "threer_blender"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if path.stem != "__init__")

# Modules -> the tests that hold them, below tests/. A pattern stands for modules that the same tests run through.
ELSEWHERE = {
    # Tests of the whole way run through several files
    "__main__.py": "cli/test_command_line.py",
    "addon.py": "installed/test_installed.py",
    "doctor.py": "host/test_environment.py",
    "headless.py": "cli/test_command_line.py",
    "cli/exit_status.py": "cli/test_command_line.py",
    "engines/colmap.py": "geometry/sfm/test_mapping.py",
    "engines/dust3r.py": "engines/test_pair_engines.py",
    "engines/mast3r.py": "engines/test_pair_engines.py",
    "engines/options.py": "engines/test_registry.py",
    "engines/refine.py": "pipelines/test_refinement.py",
    "engines/depth_anything3.py": "pipelines/test_feed_forward.py",  # and all engines of many views, made alike
    "engines/fast3r.py": "pipelines/test_feed_forward.py",
    "engines/feed_forward.py": "pipelines/test_feed_forward.py",
    "engines/map_anything.py": "pipelines/test_feed_forward.py",
    "engines/pi3.py": "pipelines/test_feed_forward.py",
    "engines/spann3r.py": "pipelines/test_feed_forward.py",
    "engines/cut3r.py": "pipelines/test_feed_forward.py",
    "engines/must3r.py": "pipelines/test_feed_forward.py",
    "engines/vggt*.py": "pipelines/test_feed_forward.py",
    # A network is right if it computes the same as the published one
    "networks/aliked.py": "networks/test_parity_features.py",
    "networks/lightglue.py": "networks/test_parity_features.py",
    "networks/*dust3r.py": "networks/test_parity.py",
    "networks/mast3r.py": "networks/test_parity.py",
    "networks/splatt3r.py": "networks/test_parity.py",
    "networks/cut3r.py": "networks/test_parity_online.py",
    "networks/must3r.py": "networks/test_parity_online.py",
    "networks/spann3r.py": "networks/test_parity_online.py",
    "networks/*.py": "networks/test_parity_views.py",
    # The same tests hold every format of splats
    "splat_files/*.py": "splat_files/test_formats.py",
    "scene/codecs.py": "splat_files/test_formats.py",
    "model/spherical_harmonics.py": "model/test_gaussian_transform.py",
    "model/splat_rendering.py": "geometry/splats/test_rasteriser.py",
    "geometry/splats/footprints.py": "geometry/splats/test_rasteriser.py",
    # All formats by the same tests: one scene, written as each program does
    "exchange/solves/*.py": "exchange/solves/test_reading.py",
    "exchange/*.py": "exchange/test_export.py",
    # A result is written, read and moved as a whole
    "files/array_file.py": "test_bundle.py",
    "model/engine.py": "engines/test_registry.py",
    "model/arrays.py": "house/test_rooms.py",  # names for types alone
    "model/lens_formulas.py": "geometry/test_remap.py",
    "model/proxy_mesh.py": "scene/test_proxies.py",
    "model/textured_mesh.py": "files/test_mesh_file.py",
    "model/reconstruction_transform.py": "model/test_reconstruction.py",
    "lenses/film_back.py": "lenses/test_export.py",
    "lenses/nuke.py": "lenses/test_export.py",
    "reports/files.py": "reports/test_shot_report.py",
    # An evaluation is made as a whole from a world whose errors are known
    "evaluation/cameras.py": "evaluation/test_evaluate.py",
    "evaluation/page.py": "evaluation/test_evaluate.py",
    "evaluation/pictures.py": "evaluation/test_evaluate.py",
    "evaluation/surfaces.py": "evaluation/test_evaluate.py",
    # All benchmarks by the same tests: one set of cameras, written as each benchmark does
    "evaluation/truth/*.py": "evaluation/truth/test_reading.py",
    "worker/evaluating.py": "cli/test_evaluating.py",
    "farm/shot_lists.py": "cli/test_batching.py",
    "farm/tasks.py": "cli/test_batching.py",
    "farm/progress.py": "farm/test_open_job.py",
    "farm/job.py": "farm/test_open_job.py",
    "reports/contact_sheet.py": "cli/test_batching.py",
    "reports/shot_page.py": "reports/test_shot_report.py",
    # Modules that another module's test tests
    "geometry/correspondences.py": "docs/test_documents.py",  # the name that other programs know
    "geometry/global_alignment.py": "docs/test_documents.py",
    "pipelines/survey_marks.py": "worker/test_surveying.py",
    "geometry/survey.py": "worker/test_surveying.py",
    "geometry/sfm/resection.py": "pipelines/test_against.py",
    "geometry/grids/corners.py": "geometry/grids/test_boards.py",
    "geometry/grids/lattice.py": "geometry/grids/test_boards.py",
    "scene/survey_marks.py": "ui/test_survey.py",
    "geometry/features/patches.py": "geometry/features/test_learned_features.py",
    "geometry/adjustment/shot_adjustment.py": "geometry/shots/test_solver.py",
    "geometry/shots/kinds.py": "geometry/shots/test_solver.py",
    "geometry/shots/moving.py": "geometry/shots/test_solver.py",
    "geometry/adjustment/shot_problem.py": "geometry/shots/test_solver.py",
    "geometry/adjustment/shot_projection.py": "geometry/shots/test_rolling_shutter.py",
    "geometry/shots/rotating.py": "geometry/shots/test_solver.py",
    "pictures/jpeg.py": "pictures/test_photos.py",
    "pictures/light.py": "pictures/test_sequence.py",
    "pictures/plate_files.py": "pictures/test_sequence.py",
    "pictures/tiff.py": "pictures/test_kinds.py",
    "pictures/blender_clip.py": "scene/test_films.py",
    "pictures/decoder.py": "pictures/test_film.py",
    "pictures/film_index.py": "pictures/test_film.py",
    "pictures/frame_statistics.py": "pictures/test_video.py",
    "files/array_records.py": "test_bundle.py",
    "files/point_file.py": "worker/test_measuring.py",
    "files/digest.py": "worker/test_set_up.py",
    "files/lock.py": "files/test_removal.py",
    "files/whole_file.py": "files/test_removal.py",
    "pipelines/pair_reconstruction.py": "engines/test_pair_engines.py",
    "engines/photo_pairs.py": "engines/test_pair_engines.py",
    "engines/published_weights.py": "engines/test_registry.py",
    # What Blender shows is tested where an artist would see it
    "scene/changes.py": "scene/test_build.py",
    "scene/known_sizes.py": "ui/test_picks.py",
    "scene/root.py": "ui/test_alignment.py",
    "scene/files.py": "cli/test_command_line.py",
    "scene/picture.py": "cli/test_scene_output.py",
    "scene/identity.py": "ui/test_strangers.py",
    "scene/look.py": "scene/test_build.py",
    "scene/node_fields.py": "scene/splats/test_splats.py",
    "scene/splats/look.py": "scene/splats/test_splats.py",
    "scene/splats/nodes.py": "scene/splats/test_splats.py",
    "scene/splats/view_values.py": "scene/splats/test_splats.py",
    "scene/crop.py": "ui/test_points.py",
    "scene/masks.py": "ui/test_points.py",
    "scene/picture_points.py": "ui/test_points.py",
    "scene/parts.py": "ui/test_splitting.py",
    "ui/lasso.py": "ui/test_points.py",
    "ui/points_panel.py": "ui/test_points.py",
    "scene/several.py": "ui/test_several.py",
    "scene/heat_map.py": "ui/test_several.py",
    "ui/distances.py": "ui/test_several.py",
    "ui/known.py": "ui/test_waiting.py",
    "ui/queue.py": "ui/test_waiting.py",
    "ui/preferences.py": "ui/test_upkeep.py",
    "ui/proxies.py": "scene/test_proxies.py",
    "ui/meshes.py": "scene/test_meshes.py",
    "cli/meshing.py": "scene/test_meshes.py",
    "ui/splats.py": "scene/splats/test_files.py",
    "ui/buttons.py": "ui/test_panel.py",
    "ui/choices.py": "ui/test_panel.py",
    "ui/drawn_masks.py": "ui/test_mending.py",
    "ui/engines.py": "ui/test_panel.py",
    "ui/operators.py": "ui/test_panel.py",
    "ui/pictures.py": "ui/test_panel.py",
    "ui/properties.py": "ui/test_panel.py",
    "ui/readiness.py": "ui/test_panel.py",
    "ui/summary.py": "ui/test_panel.py",
    "ui/words.py": "ui/test_waiting.py",
    "ui/work.py": "ui/test_waiting.py",
    # The process that computes
    "runtime/context.py": "runtime/test_device.py",
    "runtime/weights.py": "host/test_store.py",
    "worker/__main__.py": "worker/test_memory.py",
    "worker/weights.py": "ui/test_upkeep.py",
    "worker/importing.py": "ui/test_solves.py",
    "worker/meshing.py": "pipelines/test_meshing.py",
    "worker/shot_plates.py": "scene/test_films.py",
    "worker/shots.py": "worker/test_bad_input.py",
    "worker/tracked_videos.py": "worker/test_bad_input.py",
    "worker/tracked_points.py": "worker/test_resolving.py",
}


def has_mirror(module: str) -> bool:
    path = TESTS / module
    return path.with_name(f"test_{path.name}").exists()


def test_every_module_has_tests() -> None:
    without = [module for module in MODULES if not has_mirror(module)]
    assert [module for module in without if not any(fnmatch(module, pattern) for pattern in ELSEWHERE)] == []


def test_what_is_said_of_other_places_is_so() -> None:
    for pattern, tests in ELSEWHERE.items():
        assert (TESTS / tests).is_file(), tests
        assert any(fnmatch(module, pattern) and not has_mirror(module) for module in MODULES), pattern

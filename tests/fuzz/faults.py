"""The table of what is tried against each kind of fault: `python -m tests.fuzz.table` runs and counts it.

A new row names its kind of fault, what is tried, and the tests that try it, as pytest takes them, below tests/. A test
counts as one; one that tries several things says how many by `record_property("tried", count)`.
"""

from typing import NamedTuple

FAULT_KINDS = {
    "A1": "Deleting and replacing",
    "A2": "Code of strangers",
    "A3": "A stranger's .blend",
    "A4": "A scene that was worked on",
    "A5": "Downloads and weights",
    "A6": "Two runs, and kills",
    "B7": "Time of films",
    "B8": "Lens kinds",
    "B9": "Colour",
    "B10": "Splat files",
    "B11": "Photos and folders",
    "B12": "Repeated texture, and moves that tell nothing",
    "C13": "Memory and time of readers",
    "C14": "Blender's window never waits",
    "C15": "Orphans and leftovers",
    "C16": "Sentences about paths",
}


class Fault(NamedTuple):
    """A row: the `kind` of fault, a key of FAULT_KINDS; what is `tried`; and the `tests` that try it."""

    kind: str
    tried: str
    tests: tuple[str, ...]


FAULTS = (
    Fault(
        "A1",
        "Folders named as `--output` that hold anything else: files of yours, painted plates, links, bundles without a "
        "list",
        ("files/test_bundle_folder.py",),
    ),
    Fault(
        "A1",
        "Folders and lists that seem to be ours: markers of others, links, changed files, lists that lead elsewhere",
        ("files/test_removal.py", "files/test_whole_folder.py", "host/test_environment.py::test_removal"),
    ),
    Fault(
        "A1",
        "A scene, a picture or a lens of others in the way of an output; a scene that cannot be written",
        (
            "cli/test_scene_output.py",
            "cli/test_inspection.py::test_pictures_of_others",
            "worker/test_grids.py::test_a_photo_is_not_replaced",
            "scene/test_overlay.py::test_a_film_never",
            "ui/test_references.py::test_cameras_of_a_scene_replace_no_file",
        ),
    ),
    Fault("A2", "Packages that are not those of the committed list, of whatever index", ("worker/test_set_up.py",)),
    Fault(
        "A2",
        "Modules, programs and variables that a working folder or an environment would give to a child process",
        (
            "host/test_environment.py::test_the_working_folder",
            "host/test_environment.py::test_the_command_line_in_a_strangers_folder",
            "host/test_environment.py::test_a_childs_environment",
        ),
    ),
    Fault(
        "A2",
        "Names in other programs' solves and in results that lead out of their folder, or to another computer",
        (
            "exchange/solves/test_photos.py",
            "files/test_bundle_pictures.py",
            "worker/test_resolving.py::test_plates_are_copied",
            "exchange/test_export.py::test_a_plate_that_leads_out",
            "scene/test_redistortion.py::test_a_strangers_lens",
        ),
    ),
    Fault(
        "A3",
        "Custom properties of a stranger's file, each drawn by the panel",
        (
            "ui/test_strangers.py::test_no_custom_property",
            "ui/test_strangers.py::test_no_text",
            "ui/test_strangers.py::test_no_role",
            "ui/test_strangers.py::test_settings_of_another_version",
        ),
    ),
    Fault("A3", "A stranger's file that names what to open", ("ui/test_strangers.py::test_only_a_result_is_opened",)),
    Fault(
        "A4",
        "Scenes whose objects have Blender's first names and were worked on, work beside them, and new files",
        (
            "ui/test_strangers.py::test_a_scene_that_was_worked_on",
            "ui/test_strangers.py::test_an_untouched_scene",
            "scene/test_startup.py::test_a_file_that_was_worked_on",
            "scene/test_startup.py::test_a_new_file_is_untouched",
            "scene/test_startup.py::test_a_new_file_of_windows",
        ),
    ),
    Fault(
        "A5",
        "Downloads: lying sizes, false headers, packed bodies, redirects, breaks without end, files in the way, eight "
        "at once",
        ("worker/test_download.py",),
    ),
    Fault(
        "A5",
        "Weights of another network, of another size or hash, and notes that cannot be read",
        ("engines/test_unpinned_weights.py", "host/test_store.py"),
    ),
    Fault(
        "A6",
        "Workers and Blenders killed at any moment; workers that die after their result is in place; two Blenders "
        "that share a folder",
        (
            "jobs/test_ends.py",
            "ui/test_faults.py::test_a_worker_killed_at_any_moment",
            "ui/test_faults.py::test_a_killed_blender",
            "ui/test_faults.py::test_two_blenders",
            "files/test_bundle_folder.py::test_a_second_run",
        ),
    ),
    Fault(
        "B7",
        "Films of 51 kinds (containers, codecs, clocks), in order and in any order, and films with 20 random clocks; "
        "each frame is the one whose number it carries",
        ("pictures/test_film.py",),
    ),
    Fault(
        "B7",
        "Films of 35 kinds behind a camera in Blender: 12 or more frames of each are those that were solved; saved "
        "scenes with sequences; films turned and mirrored",
        ("scene/test_films.py", "scene/test_sequences.py"),
    ),
    Fault(
        "B8",
        "Digital zooms, crops and focal planes in EXIF; cameras by name",
        ("pictures/test_exif.py", "pictures/test_lens_profiles.py"),
    ),
    Fault(
        "B8",
        "Panoramas with and without tags, parts of them, films of all directions, and ordinary pictures of their shape",
        (
            "pictures/test_panorama_kinds.py",
            "pictures/test_panoramas.py",
            "geometry/features/test_panorama_features.py",
        ),
    ),
    Fault(
        "B8",
        "Lenses that no camera has, fisheyes, zooms, wrong lenses that are held",
        (
            "geometry/sfm/test_plausibility.py",
            "geometry/sfm/test_lens_starts.py",
            "geometry/sfm/test_known_lenses.py",
        ),
    ),
    Fault(
        "B9",
        "Photos of each format in its depths, layouts, orientations and colours; all pixels compared with what was "
        "stored",
        ("pictures/test_kinds.py", "pictures/test_decoding.py", "pictures/test_png.py"),
    ),
    Fault("B9", "Films of each matrix and range, tagged and not, and HDR", ("pictures/test_film_colours.py",)),
    Fault(
        "B10",
        "Splat files as each program writes them: endings, headers, orders, doubles, text, other elements, filters, "
        "degrees 0 to 4",
        ("splat_files/test_variants.py", "splat_files/test_formats.py", "splat_files/test_other_programs.py"),
    ),
    Fault(
        "B11",
        "Photos that lack their end, end too early, or hold something else; names and folders of any kind",
        ("pictures/test_photos.py", "files/test_photo_files.py"),
    ),
    Fault(
        "B11",
        "Raw files in the layouts of ten makers' endings, with and without a preview, in both byte orders, turned and "
        "not",
        ("pictures/test_raw.py",),
    ),
    Fault(
        "B11",
        "Camera photos chosen alone among numbered neighbours, and frames of sequences",
        ("files/test_single_pictures.py", "files/test_sequence_files.py"),
    ),
    Fault(
        "B11",
        "Names that mean something to FFmpeg, to a shell or to Blender: of photos, films, sequences, masks, and their "
        "folders",
        ("pictures/test_names.py", "scene/test_clip_masks.py::test_the_folder"),
    ),
    Fault(
        "B12",
        "Checks, most of them on computed matches: photos that repeat, contradict each other, show things that look "
        "alike, do not overlap, or were taken from one spot",
        (
            "geometry/features/test_cycles.py",
            "geometry/features/test_contradictions.py",
            "geometry/sfm/test_model_search.py",
            "geometry/sfm/test_mapping.py",
            "worker/test_bad_input.py::test_pure_rotation",
            "worker/test_bad_input.py::test_photos_without_overlap",
            "worker/test_bad_input.py::test_the_same",
            "worker/test_bad_input.py::test_film_of_a_static_camera",
        ),
    ),
    Fault(
        "C13",
        "Files that claim more than they hold, devices and pipes, descriptions without end",
        (
            "splat_files/test_bombs.py",
            "files/test_bounded.py",
            "files/test_survey_files.py",
            "files/test_scene_camera_files.py",
            "exchange/solves/test_reading.py::test_a_baf",
            "exchange/solves/test_reading.py::test_every_cut",
            "exchange/solves/test_reading.py::test_entities",
            "pictures/test_masks.py::test_a_mask_that_is",
        ),
    ),
    Fault(
        "C13",
        "Results with one wrong entry, or with damaged files: built into the scene, or refused",
        ("ui/test_damaged.py",),
    ),
    Fault("C13", "Runs whose memory ends", ("worker/test_memory.py", "host/test_hardware.py")),
    Fault(
        "C14",
        "Lines of a worker that are no message, state files that cannot be read, requests, starts and ends that take "
        "long, hung workers",
        (
            "ui/test_waiting.py",
            "ui/test_scene_facts.py",
            "ui/test_faults.py::test_a_hung_worker",
            "jobs/test_messages.py",
            "jobs/test_process.py::test_poll_never_blocks",
        ),
    ),
    Fault(
        "C15",
        "Crashes by every signal, within malloc, too; workers whose parent ends, starts that fail, full disks",
        (
            "geometry/test_colmap.py",
            "jobs/test_process.py",
            "jobs/test_results.py",
            "worker/test_ends.py",
            "worker/test_bad_input.py::test_a_killed_worker",
            "worker/test_bad_input.py::test_a_full_disk",
            "worker/test_bad_input.py::test_cancel_at_every_stage",
            "ui/test_faults.py::test_a_full_disk",
            "ui/test_faults.py::test_a_missing_wheel",
        ),
    ),
    Fault(
        "C16",
        "Paths of every kind of letter, too long, locked, of no file",
        (
            "model/test_errors.py",
            "files/test_bundle_folder.py::test_a_name_that_is_too_long",
            "cli/test_command_line.py::test_a_file_that_cannot_be_written",
            "cli/test_command_line.py::test_wrong_commands",
        ),
    ),
)

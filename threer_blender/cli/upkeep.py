"""[S] Verbs that need few lines each: info, reports, exports, lenses and grids, weights, the private environment."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import __version__, bundle, doctor, headless
from ..engines import registry
from ..exchange import export as exchange
from ..exchange.content import AXES, Choice
from ..host import environment, store
from ..jobs.messages import Calibrate, Download, Request, SetUp, Undistort
from ..lenses import export as lens_export
from ..model.engine import Option, Weights
from ..model.errors import UserError
from ..reports import files as report_files
from . import inspection, scene_output


def add_verbs(verbs: Any) -> None:
    """Adds the verbs to those of a parser."""
    info = verbs.add_parser("info", help="print what is there: Python, devices, memory, engines and what they lack")
    info.add_argument("--json", action="store_true", help="print it as JSON")
    info.set_defaults(run=_info)

    _of_result(
        verbs, "cleaning", "pictures of what was removed from each photo's points, and why", "PICTURES", _cleaning
    )
    lens = _of_result(
        verbs, "lens", "a result's lenses for other programs: STMaps, a Nuke script, every residual", "LENSES", _lens
    )
    lens.add_argument("--plates", metavar="FRAMES", help="a folder for the shots' frames without distortion, as EXR")

    grid = verbs.add_parser(
        "grid", help="a lens file from photos of checkerboards or grids of dots, for each focal length"
    )
    grid.add_argument("photos", nargs="+", metavar="PHOTOS", help="photos, or folders of them, one for each setting")
    grid.add_argument("--output", required=True, metavar="LENS.JSON", help="the lens file")
    grid.set_defaults(run=_grid)

    export = _of_result(
        verbs, "export", "a result's pictures, cameras and points for other programs", "EXPORT", _export
    )
    formats = exchange.FORMATS | exchange.IN_BLENDER
    names = ", ".join(f"{name} ({each.readers})" for name, each in formats.items())
    export.add_argument("--format", required=True, choices=formats, help=names)
    export.add_argument("--axes", default="", choices=list(AXES), help="of the file's world; default: the format's own")
    export.add_argument("--scale", type=float, default=0.0, metavar="FACTOR", help="units of the file for one of ours")
    export.add_argument(
        "--first-frame", type=int, metavar="FRAME", help="number of a shot's first frame; default: the plate's"
    )
    export.add_argument("--masks", metavar="SCENE.BLEND", help="leave out the points that are masked in this scene")
    report = "how well a result's shots stick, frame by frame: an HTML page and JSON"
    _of_result(verbs, "report", report, "HTML", _report, "the page; its numbers go beside it as JSON")

    weights = verbs.add_parser("weights", help="list, download or delete the learned engines' weights")
    actions = weights.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="each file with its size, licence, and whether it is here").set_defaults(run=_list)
    download = actions.add_parser("download", help="fetch files into the store")
    download.add_argument("names", nargs="+", metavar="NAME", help="a file's name, or an engine's for all of its files")
    download.add_argument("--accept-licence", action="store_true", help="you have read the terms and accept them")
    download.set_defaults(run=_download)
    delete = actions.add_parser("delete", help="delete files from the store")
    delete.add_argument("names", nargs="+", metavar="NAME", help="a file's name, or an engine's for all of its files")
    delete.set_defaults(run=_delete)

    forget = actions.add_parser("forget", help="forget the hash that was kept of a file for which none is published")
    forget.add_argument("names", nargs="+", metavar="NAME", help="a file's name, or an engine's for all of its files")
    forget.set_defaults(run=_forget)

    private = verbs.add_parser("environment", help="set up or remove the private environment with torch")
    actions = private.add_subparsers(dest="action", required=True)
    setup = actions.add_parser("setup", help="make it, mend it, or add what more engines need")
    setup.add_argument("engines", nargs="*", metavar="ENGINE", help="by default all, with all of their options")
    setup.set_defaults(run=_set_up)
    actions.add_parser("remove", help="delete it").set_defaults(run=_remove)


def _of_result(
    verbs: Any,
    verb: str,
    help: str,
    metavar: str,
    run: Callable[[argparse.Namespace], None],
    output: str = "a folder for these",
) -> Any:
    """The parser of a verb that reads a result's bundle and writes an output.

    `help` describes the verb, `output` its output; `metavar` is the output's name in the usage line. `run` does the
    verb.
    """
    parser = verbs.add_parser(verb, help=help)
    parser.add_argument("result", metavar="FOLDER", help="the bundle of a result")
    parser.add_argument("--output", required=True, metavar=metavar, help=output)
    parser.set_defaults(run=run)
    return parser


def info(data_folder: Path) -> dict[str, Any]:
    """Everything that the verb `info` prints as JSON."""
    return {
        "threer_blender": __version__,
        **asdict(doctor.facts(data_folder)),
        "engines": [
            {
                "id": engine.id,
                "label": engine.label,
                "summary": engine.summary,
                "licence": engine.licence,
                "commercial": engine.commercial,
                "produces": sorted(engine.produces),
                "missing": list(state.modules),
                "missing_weights": [weights.name for weights in state.weights],
                "options": {option.name: option.default for option in doctor.offered(engine, data_folder)},
            }
            for engine, state in doctor.engines(data_folder)
        ],
    }


def _info(parsed: argparse.Namespace) -> None:
    data_folder = _data_folder(parsed)
    if parsed.json:
        sys.stdout.write(json.dumps(info(data_folder), indent=1, default=str) + "\n")
        return
    lines = [f"threer_blender {__version__}", *doctor.lines(data_folder)]
    for engine, state in doctor.engines(data_folder):
        use = "commercial use allowed" if engine.commercial else "no commercial use"
        lines += [f"engine {engine.id}: {engine.summary}", f"  {engine.licence} ({use}), {state}"]
        lines += [f"  --option {_option_text(option)}" for option in doctor.offered(engine, data_folder)]
    sys.stdout.write("\n".join(lines) + "\n")


def _cleaning(parsed: argparse.Namespace) -> None:
    lines = inspection.write(bundle.read(parsed.result), Path(parsed.output).absolute())
    sys.stdout.write("\n".join([*lines, inspection.KEY]) + "\n")


def _report(parsed: argparse.Namespace) -> None:
    for path in report_files.write(bundle.read(parsed.result), Path(parsed.output).absolute()):
        sys.stdout.write(f"written: {path}\n")


def _export(parsed: argparse.Namespace) -> None:
    result = Path(parsed.result).absolute()
    choice = Choice(parsed.axes, parsed.scale, parsed.first_frame)
    output = Path(parsed.output).absolute()
    in_blender = parsed.format in exchange.IN_BLENDER
    if (in_blender or parsed.masks) and find_spec("bpy") is None:
        reason = f"Writing {exchange.IN_BLENDER[parsed.format].label}" if in_blender else "Reading masks of a scene"
        raise UserError(f"{reason} needs Blender: run `blender -b --command threer_blender …` or `pip install bpy`.")
    reconstruction = bundle.read(result)
    lines: list[str] = []
    if parsed.masks:
        reconstruction, lines = scene_output.unmasked(reconstruction, result, Path(parsed.masks).absolute())
    if not in_blender:
        lines = [*exchange.write(reconstruction, result, parsed.format, output, choice), *lines]
        sys.stdout.write("\n".join(lines) + "\n")
        return
    from ..scene import interchange

    with scene_output.protected_stdout() as out:
        lines = [*interchange.write(reconstruction, parsed.format, output, choice), *lines]
        out.write("\n".join(lines) + "\n")


def _grid(parsed: argparse.Namespace) -> None:
    photos = [str(Path(each).absolute()) for each in parsed.photos]
    _do(Calibrate(photos, str(Path(parsed.output).absolute())), _data_folder(parsed), parsed)


def _lens(parsed: argparse.Namespace) -> None:
    lines = lens_export.write(bundle.read(parsed.result), Path(parsed.output).absolute())
    sys.stdout.write("\n".join([*lines, lens_export.CONVENTION]) + "\n")
    if parsed.plates:
        _do(
            Undistort(str(Path(parsed.result).absolute()), str(Path(parsed.plates).absolute())),
            _data_folder(parsed),
            parsed,
        )


def _option_text(option: Option) -> str:
    """An option with its default value, and with its other values where it has a list of them."""
    others = [name for name in option.choices or () if name != option.default]
    return f"{option.name}={option.default}" + (f" (or {', '.join(others)})" if others else "")


def _list(parsed: argparse.Namespace) -> None:
    weights_store = store.default(_data_folder(parsed))
    for weights in weights_named(list(registry.engines())):
        path = weights_store.find(weights)
        where = "not here" if path is None else str(path)
        token = ", needs a token" if weights.gated else ""
        size = f"{weights.size / 1e9:.2f} GB" if weights.size else "size not published"
        sys.stdout.write(f"{weights.name}  {size}  {weights.licence}{token}  {where}\n")


def _download(parsed: argparse.Namespace) -> None:
    data_folder = _data_folder(parsed)
    weights_store = store.default(data_folder)
    wanted = weights_named(parsed.names)
    for weights in wanted:
        if not weights_store.is_accepted(weights):
            if not parsed.accept_licence:
                raise UserError(
                    f"{weights.family} may be used under {weights.licence}: read {weights.terms_url}, and if you "
                    "accept it say so with --accept-licence."
                )
            weights_store.accept(weights)
    for weights in wanted:
        if weights_store.find(weights) is None:
            _do(Download(weights.name), data_folder, parsed)


def _delete(parsed: argparse.Namespace) -> None:
    weights_store = store.default(_data_folder(parsed))
    for weights in weights_named(parsed.names):
        sys.stdout.write(f"{weights.name}: {weights_store.delete(weights) / 1e9:.2f} GB freed\n")


def _forget(parsed: argparse.Namespace) -> None:
    weights_store = store.default(_data_folder(parsed))
    for weights in weights_named(parsed.names):
        text = "its hash is forgotten" if weights_store.forget_pinned(weights) else "no hash was kept"
        sys.stdout.write(f"{weights.name}: {text}\n")


def _set_up(parsed: argparse.Namespace) -> None:
    modules = [module for name in parsed.engines or [""] for module in modules_of(name)]
    _do(SetUp(list(dict.fromkeys(modules))), _data_folder(parsed), parsed)


def _remove(parsed: argparse.Namespace) -> None:
    environment.remove(_data_folder(parsed))


def modules_of(name: str = "") -> list[str]:
    """The Python modules that the engine `name` needs; for "", those of all engines and all of their options.

    Raises UserError where there is no such engine.
    """
    if name:
        return list(registry.engine(name).requires)
    engines = registry.engines().values()
    needed = [
        (*engine.requires, *(name for option in engine.options for name in option.requires)) for engine in engines
    ]
    return list(dict.fromkeys(module for several in needed for module in several))


def weights_named(names: Sequence[str]) -> list[Weights]:
    """The weights of these names; an engine's name stands for all of its weights. Raises UserError for other names."""
    known = registry.engines()
    groups = [known[name].weights if name in known else (registry.weights(name),) for name in names]
    return list(dict.fromkeys(weights for several in groups for weights in several))


def _do(request: Request, data_folder: Path, parsed: argparse.Namespace) -> None:
    """Does a request that makes no bundle, and prints the sentence about the outcome."""
    sys.stdout.write(headless.run(request, data_folder, parsed.on_message) + "\n")


def _data_folder(parsed: argparse.Namespace) -> Path:
    return parsed.data_folder or environment.user_folder()

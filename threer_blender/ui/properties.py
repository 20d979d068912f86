"""[B] The artist's settings, kept in the scene: the chosen photos, the engine, and each engine's declared options."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy

from .. import doctor, headless
from ..engines import registry
from ..files import photo_files, sequence_files
from ..model.engine import Engine, Option
from ..scene import cameras, clips
from . import work

PROPERTY = "threer"  # bpy.types.Scene.threer


class THREER_PG_photo(bpy.types.PropertyGroup):
    """A chosen photo, video or image sequence."""

    path: bpy.props.StringProperty(subtype="FILE_PATH")
    megabytes: bpy.props.FloatProperty()
    shot: bpy.props.StringProperty()  # a shot in words: its name and its frames; empty for a photo
    frames: bpy.props.IntProperty()  # of a shot
    pixels: bpy.props.IntProperty()  # of each of its frames; 0 where the size is not known yet


def settings(scene: bpy.types.Scene) -> Any:
    """The scene's settings."""
    return getattr(scene, PROPERTY)


def choose(scene: bpy.types.Scene, photos: list[Path], adds: bool = False) -> None:
    """Makes `photos` (files) the scene's chosen photos. Where it `adds`, those that were chosen before stay."""
    chosen = settings(scene).photos
    before = set(chosen_paths(scene)) if adds else set()
    if not adds:
        chosen.clear()
    for photo in (photo for photo in photos if str(photo) not in before):
        entry = chosen.add()
        entry.path = str(photo)
        entry.shot, entry.frames, entry.pixels = _shot(photo)
        entry.megabytes = sequence_files.size(photo) / 1e6


def _shot(path: Path) -> tuple[str, int, int]:
    """A chosen file as a shot in words, how many frames it has, and their pixels; "" and 0 for a photo."""
    if sequence_files.is_pattern(path):
        return sequence_files.described(path), len(sequence_files.frames(path)), 0
    if path.suffix.lower() not in photo_files.VIDEO_SUFFIXES:
        return "", 0, 0
    length = clips.length(path)
    return (path.name, 0, 0) if length is None else (f"{path.name}: {length}", length.frames, length.pixels)


def chosen_paths(scene: bpy.types.Scene) -> list[str]:
    """The chosen photos' absolute paths."""
    return [bpy.path.abspath(entry.path) for entry in settings(scene).photos]


def engine(scene: bpy.types.Scene) -> Engine:
    """The chosen engine; the default one where the .blend names an engine that does not exist."""
    chosen = settings(scene).engine
    return registry.engine(chosen if chosen in registry.engines() else headless.DEFAULT_ENGINE)


def options_of(scene: bpy.types.Scene, chosen: Engine) -> Any:
    """The properties that hold an engine's options."""
    return getattr(settings(scene), f"options_{_identifier(chosen.id)}")


def option_values(scene: bpy.types.Scene, chosen: Engine, offered: Sequence[Option] | None = None) -> dict[str, Any]:
    """The engine's options as the artist set them, by name. Options that cannot be used here are left out.

    `offered` are the options that can be used here, as `doctor.offered` gives them, where the caller has them already.
    """
    properties = options_of(scene, chosen)
    offered = doctor.offered(chosen, work.current().data_folder) if offered is None else offered
    values = {option.name: getattr(properties, option.name) for option in offered}
    return values | {
        option.name: bpy.path.abspath(values[option.name]) for option in offered if option.folder or option.file
    }


def tooltip(text: str) -> str:
    """The text without a full stop at its end, since Blender adds one to every tooltip."""
    return text.removesuffix(".")


def _identifier(text: str) -> str:
    """The text with _ in place of what may not stand in a name of Python's."""
    return re.sub(r"\W", "_", text)


def _property(option: Option) -> Any:
    """The Blender property that an option's declaration asks for."""
    arguments: dict[str, Any] = {
        "name": option.label,
        "description": tooltip(option.tooltip),
        "default": option.default,
    }
    if option.choices is not None:
        return bpy.props.EnumProperty(
            items=[(value, label, "") for value, label in option.choices.items()], **arguments
        )
    if isinstance(option.default, bool):
        return bpy.props.BoolProperty(**arguments)
    if isinstance(option.default, str):
        return bpy.props.StringProperty(subtype=_subtype(option), **arguments)
    bounds = {"min": option.minimum, "max": option.maximum}
    arguments |= {name: bound for name, bound in bounds.items() if bound is not None}
    if isinstance(option.default, int):
        return bpy.props.IntProperty(**{name: int(v) if name in bounds else v for name, v in arguments.items()})
    return bpy.props.FloatProperty(**arguments)


def _subtype(option: Option) -> str:
    return "DIR_PATH" if option.folder else "FILE_PATH" if option.file else "NONE"


def _group(name: str, annotations: dict[str, Any]) -> type:
    """A new class of property groups with these properties, by name."""
    return type(name, (bpy.types.PropertyGroup,), {"__annotations__": annotations, "__module__": __name__})


def _classes() -> list[type]:
    """The property groups in the order of their registration. The last is that of the scene's settings."""
    engines = registry.engines().values()
    groups = {
        f"options_{_identifier(each.id)}": _group(
            f"THREER_PG_options_{_identifier(each.id)}", {option.name: _property(option) for option in each.options}
        )
        for each in engines
    }
    members = {
        "photos": bpy.props.CollectionProperty(type=THREER_PG_photo),
        "photo_row": bpy.props.IntProperty(
            name="Photo", description="Say more about this photo", options={"SKIP_SAVE"}
        ),
        "engine": bpy.props.EnumProperty(
            name="Engine",
            description="How cameras and points are computed from the photos",
            items=[(each.id, each.label, tooltip(each.summary)) for each in engines],
            default=headless.DEFAULT_ENGINE,
        ),
        "plate_over": bpy.props.FloatProperty(
            name="Plate over Points",
            description="Fade from the points, with the plate behind them, to the plate alone",
            min=0.0,
            max=1.0,
            subtype="FACTOR",
            get=lambda settings: cameras.plate_over(settings.id_data),
            set=lambda settings, opacity: cameras.put_plate_over(settings.id_data, opacity),
        ),
        **{name: bpy.props.PointerProperty(type=group) for name, group in groups.items()},
    }
    return [THREER_PG_photo, *groups.values(), _group("THREER_PG_settings", members)]


_registered: list[type] = []


def register() -> None:
    """Adds the settings to every scene."""
    for cls in _classes():
        bpy.utils.register_class(cls)
        _registered.append(cls)
    setattr(bpy.types.Scene, PROPERTY, bpy.props.PointerProperty(type=_registered[-1]))


def unregister() -> None:
    """Removes the settings from every scene."""
    delattr(bpy.types.Scene, PROPERTY)
    while _registered:
        bpy.utils.unregister_class(_registered.pop())

"""The add-on's panels as text, since Blender draws none without a window."""

from types import SimpleNamespace
from typing import Any

import bpy

from .extension import part


class Drawn:
    """A stand-in for Blender's layout that collects the texts that are drawn into it."""

    def __init__(self) -> None:
        self.texts: list[Any] = []

    def box(self, **_: Any) -> Any:
        return self

    row = column = split = box

    def panel(self, *_: Any, **__: Any) -> Any:
        return self, self

    def label(self, text: str = "", **_: Any) -> None:
        self.texts.append(text)

    def progress(self, text: str = "", **_: Any) -> None:
        self.texts.append(text)

    def prop(self, _data: Any, name: str, **_: Any) -> None:
        self.texts.append(name)

    def prop_enum(self, _data: Any, _name: Any, _value: Any, text: str = "", **_: Any) -> None:
        self.texts.append(text)

    def popover(self, name: str, text: str = "", **_: Any) -> None:
        self.texts += [name, text]

    def template_list(self, kind: Any, *_: Any, **__: Any) -> None:
        self.texts.append(kind)

    def template_icon(self, *_: Any, **__: Any) -> None:
        self.texts.append("a picture")

    def operator(self, name: str, text: str = "", **_: Any) -> Any:
        self.texts += [name, text]
        return SimpleNamespace()

    operator_menu_enum = operator


def drawn(module: str, panel: Any) -> Any:
    """The texts of a panel of the add-on's, joined by spaces. `module` is the panel's module, `panel` its class."""
    layout = Drawn()
    context = SimpleNamespace(
        scene=bpy.context.scene,
        object=None,
        area=None,
        space_data=None,
        region=SimpleNamespace(width=400),
        preferences=SimpleNamespace(system=SimpleNamespace(ui_scale=1)),
    )
    getattr(part(module), panel).draw(SimpleNamespace(layout=layout), context)
    return " ".join(layout.texts)


def panel() -> Any:
    """The content of the main panel."""
    return drawn("ui.panel", "THREER_PT_main")


def engines() -> Any:
    """The content of the panel of engines."""
    return drawn("ui.engines", "THREER_PT_engine")


def preferences() -> Any:
    """The content of the extension's preferences."""
    return drawn("ui.preferences", "THREER_AP_preferences")

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


class Measured(Drawn):
    """Also collects the lines of buttons: of each line the letters that its buttons take."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[list[str]] = []
        self._line: list[str] | None = None  # of a row

    def row(self, *_: Any, **__: Any) -> Any:
        inner = Measured()
        inner.lines, inner.texts, inner._line = self.lines, self.texts, []
        self.lines.append(inner._line)
        return inner

    def operator(self, name: str, text: str | None = None, **_: Any) -> Any:
        label = _label(name) if text is None else text
        if self._line is None:
            self.lines.append([label])
        else:
            self._line.append(label)
        return super().operator(name, label)


def _label(name: str) -> str:
    """The label of an operator."""
    room, _, verb = name.partition(".")
    return str(getattr(getattr(bpy.ops, room), verb).get_rna_type().name)


def cut(module: str, panel: Any, width: int) -> list[list[str]]:
    """The lines of buttons that a sidebar of so many pixels cuts off. The arguments are as those of `drawn`."""
    words, layout = part("ui.words"), Measured()
    columns = words.columns(_draw(module, panel, layout, width))
    return [
        line
        for line in layout.lines
        if sum(len(label) + words.ICON for label in line) > columns + words.SHARED_MARGIN * len(line) * (len(line) > 1)
    ]


def drawn(module: str, panel: Any) -> Any:
    """The texts of a panel of the add-on's, joined by spaces. `module` is the panel's module, `panel` its class."""
    layout = Drawn()
    _draw(module, panel, layout, 400)
    return " ".join(layout.texts)


def _draw(module: str, panel: Any, layout: Drawn, width: int) -> Any:
    """Draws a panel into a layout. Returns the context that it was drawn for."""
    context = SimpleNamespace(
        scene=bpy.context.scene,
        object=None,
        area=None,
        space_data=None,
        region=SimpleNamespace(width=width),
        preferences=SimpleNamespace(system=SimpleNamespace(ui_scale=1)),
    )
    getattr(part(module), panel).draw(SimpleNamespace(layout=layout), context)
    return context


def panel() -> Any:
    """The content of the main panel."""
    return drawn("ui.panel", "THREER_PT_main")


def engines() -> Any:
    """The content of the panel of engines."""
    return drawn("ui.engines", "THREER_PT_engine")


def preferences() -> Any:
    """The content of the extension's preferences."""
    return drawn("ui.preferences", "THREER_AP_preferences")

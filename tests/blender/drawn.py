"""What a panel shows, as text: Blender draws none without a window."""

from types import SimpleNamespace

import bpy

from .extension import part


class Drawn:
    """A layout that keeps what it is told to show."""

    def __init__(self):
        self.shown = []

    def box(self, **_):
        return self

    row = column = split = box

    def label(self, text="", **_):
        self.shown.append(text)

    def progress(self, text="", **_):
        self.shown.append(text)

    def prop(self, _data, name, **_):
        self.shown.append(name)

    def prop_enum(self, _data, _name, _value, text="", **_):
        self.shown.append(text)

    def popover(self, name, text="", **_):
        self.shown += [name, text]

    def template_list(self, kind, *_, **__):
        self.shown.append(kind)

    def template_icon(self, *_, **__):
        self.shown.append("a picture")

    def operator(self, name, **_):
        self.shown.append(name)
        return SimpleNamespace()

    operator_menu_enum = operator


def drawn(module, panel):
    """What a panel of ours shows, as one text."""
    layout = Drawn()
    context = SimpleNamespace(
        scene=bpy.context.scene,
        object=None,
        region=SimpleNamespace(width=400),
        preferences=SimpleNamespace(system=SimpleNamespace(ui_scale=1)),
    )
    getattr(part(module), panel).draw(SimpleNamespace(layout=layout), context)
    return " ".join(layout.shown)


def panel():
    """What the main panel shows."""
    return drawn("ui.panel", "THREER_PT_main")


def engines():
    """What the panel of engines shows."""
    return drawn("ui.engines", "THREER_PT_engine")


def preferences():
    """What the extension's preferences show."""
    return drawn("ui.preferences", "THREER_AP_preferences")

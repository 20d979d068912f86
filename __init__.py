"""Blender's door: an extension's package must have this file beside its manifest. The add-on is in threer_blender/."""

from .threer_blender.addon import register, unregister

__all__ = ["register", "unregister"]

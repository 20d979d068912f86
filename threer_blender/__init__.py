"""[S] threer_blender: photos in, Blender scene out. Importable without bpy; see docs/architecture.md for the house."""

__version__ = "0.1.0"

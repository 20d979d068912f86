"""[S] threer_blender: photos in, Blender scene out. Importable without bpy. docs/architecture.md shows its parts."""

__version__ = "0.1.0"

"""Every test here begins with a fresh Blender file."""

from tests.blender.world import fresh_file, photos, reconstruction

__all__ = ["fresh_file", "photos", "reconstruction"]

"""The sample's photos, smaller, so that a reconstruction takes a few seconds. For the tests of every folder."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

SAMPLE = sorted((Path(__file__).parent / "data" / "sample" / "photos").glob("*.jpg"))


def shrunk(photos: Sequence[Path], folder: Path, factor: int = 3) -> list[Path]:
    """Copies of `photos` in `folder`, `factor` times smaller, with their EXIF."""
    for path in photos:
        with Image.open(path) as image:
            size = (image.width // factor, image.height // factor)
            small = image.resize(size, Image.Resampling.LANCZOS)
            small.save(folder / path.name, quality=92, exif=image.getexif())
    return [folder / path.name for path in photos]

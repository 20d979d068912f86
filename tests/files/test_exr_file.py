"""EXR files, read again by another's decoder: FFmpeg's."""

from pathlib import Path

import numpy as np
import pytest

from threer_blender.files import exr_file


@pytest.mark.parametrize("size", [(2, 3), (16, 5), (37, 53)])
@pytest.mark.parametrize("noise", [False, True])  # noise does not shrink, and is then stored as it is
def test_floats_come_back_to_the_last_bit(tmp_path: Path, size: tuple[int, int], noise: bool) -> None:
    av = pytest.importorskip("av")
    rng = np.random.default_rng(5)
    picture = rng.normal(size=(*size, 3)).astype(np.float32)
    if noise:
        picture = rng.integers(0, 0x7F000000, (*size, 3)).astype(np.uint32).view(np.float32)
    exr_file.write(tmp_path / "a.exr", picture, pixel_aspect=2.0)
    with av.open(str(tmp_path / "a.exr")) as container:
        frame = next(container.decode(video=0))
        assert frame.format.name == "gbrpf32le"
        assert np.array_equal(frame.to_ndarray(), picture)
        assert container.streams.video[0].sample_aspect_ratio == 2


def test_halves_come_back_to_the_last_bit(tmp_path: Path) -> None:
    plate_files = pytest.importorskip("threer_blender.pictures.plate_files")
    picture = np.random.default_rng(6).normal(size=(37, 53, 3)).astype(np.float16)
    exr_file.write(tmp_path / "a.exr", picture)
    assert np.array_equal(plate_files.light(tmp_path / "a.exr"), picture.astype(np.float32))

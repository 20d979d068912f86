"""A camera's photo that is chosen among its neighbours stays a photo. A frame among frames stands for its shot."""

from pathlib import Path

import pytest
from PIL import Image

from tests.pictures.saved import save, scene
from threer_blender.files import photo_files, single_pictures

NAMES = [
    "IMG_0001.JPG", "IMG_2041.jpg", "_MG_0412.jpg", "DSC_0007.jpg", "DSC00412.JPG", "_DSC1234.jpg", "DSCN0412.jpg",
    "DSCF1001.jpg", "DJI_0001.JPG", "PXL_20240101_101112131.jpg", "20240101_101112.jpg", "GOPR0001.JPG", "G0010001.JPG",
    "P1010001.JPG", "R0010001.JPG", "MVIMG_20240101_101112.jpg", "IMG-20240101-WA0001.jpg", "SAM_0001.jpg",
    "IMGP0001.jpg", "WP_20140101_001.jpg", "CIMG0001.jpg",
]  # fmt: skip
FRAMES = ["render_0001.jpg", "frame0001.jpg", "shot_a_001.jpeg", "sh010_comp_0101.jpg", "0001.jpg", "out-00001.jpg"]


def neighbours(folder: Path, name: str, **options: object) -> Path:
    """Writes twelve files, numbered from that name on. Returns the first of them."""
    stem, suffix = Path(name).stem, Path(name).suffix
    digits = len(stem) - len(stem.rstrip("0123456789"))
    head, first = stem[: len(stem) - digits], int(stem[-digits:])
    for number in range(first, first + 12):
        save(folder / f"{head}{number:0{digits}d}.jpg", scene(), **options).rename(
            folder / f"{head}{number:0{digits}d}{suffix}"
        )
    return folder / name


@pytest.mark.parametrize("name", NAMES)
def test_a_photo_named_by_a_camera_stays_one(tmp_path: Path, name: str) -> None:
    file = neighbours(tmp_path, name)
    assert photo_files.find([file]).files == [file]


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_stands_for_its_shot(tmp_path: Path, name: str) -> None:
    (file,) = photo_files.find([neighbours(tmp_path, name)]).files
    assert "#" in file.name


@pytest.mark.parametrize("tag", [0x010F, 0x0110], ids=["maker", "model"])
def test_a_photo_whose_exif_names_its_camera_stays_one(tmp_path: Path, tag: int) -> None:
    exif = Image.Exif()
    exif[tag] = "Nikon"
    file = neighbours(tmp_path, "holiday_0001.jpg", exif=exif)
    assert photo_files.find([file]).files == [file]


def test_exif_of_a_program_is_no_camera(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0131] = "Renderer 3"  # Software
    file = neighbours(tmp_path, "take_0001.jpg", exif=exif)
    assert "#" in photo_files.find([file]).files[0].name
    for data in (b"", b"\xff\xd8Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"):
        (tmp_path / "odd.jpg").write_bytes(data)
        assert not single_pictures.is_single_picture(tmp_path / "odd.jpg")
    assert not single_pictures.is_single_picture(tmp_path / "absent.jpg")

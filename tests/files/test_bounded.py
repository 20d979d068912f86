"""Files that nobody vouches for: regular ones only, inside of their folder, and no more memory than they warrant."""

import gzip
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from threer_blender.files import bounded
from threer_blender.files.bounded import Damaged
from threer_blender.model.errors import UserError


@pytest.mark.parametrize("error", [ValueError, KeyError, TypeError, RecursionError, ZeroDivisionError, zlib.error])
def test_whatever_bytes_lead_to_is_damage(error: Any) -> None:
    with pytest.raises(Damaged, match="is damaged; get it again"), bounded.as_damage():
        raise error("?")


def test_a_damaged_file_is_refused_in_one_sentence_with_its_name() -> None:
    with pytest.raises(UserError, match=r"^a\.ply is cut off\.$"), bounded.as_refusal("a.ply"):
        raise Damaged("is cut off")


@pytest.mark.parametrize("error", [MemoryError, OSError, KeyboardInterrupt])
def test_what_no_byte_is_to_blame_for_passes(error: Any) -> None:
    with pytest.raises(error), bounded.as_damage():
        raise error


def test_a_file_may_take_a_little_or_many_times_its_size() -> None:
    bounded.check(bounded.ALWAYS_ALLOWED, 0)
    bounded.check(bounded.EXPANSION << 20, 1 << 20)
    for needed, size in ((bounded.ALWAYS_ALLOWED + 1, 100), (bounded.EXPANSION * (1 << 20) + 1, 1 << 20), (-1, 100)):
        with pytest.raises(Damaged, match="which its"):
            bounded.check(needed, size)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files in folders")
def test_devices_pipes_and_folders_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", "."):
        with pytest.raises(Damaged, match="is no regular file"):
            bounded.content(tmp_path / name)  # and comes back, instead of waiting for a writer


@pytest.mark.parametrize(
    "name", ["../a", "/etc/passwd", "b/../../a", "..", "", "c:/a", "c:a", "b\\..\\..\\a", "//host/a", "a\0b", "link/a"]
)
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    if os.name != "nt":
        (tmp_path / "folder" / "link").symlink_to(tmp_path)
    elif name.startswith("link"):
        pytest.skip("links take a right on Windows")
    with pytest.raises(Damaged, match="names a file outside of its folder"):
        bounded.inside(tmp_path / "folder", name)


def test_names_that_stay(tmp_path: Path) -> None:
    assert bounded.inside(tmp_path, "a.webp") == tmp_path / "a.webp"
    assert bounded.inside(tmp_path, "0_0/meta.json") == tmp_path / "0_0" / "meta.json"


def test_a_description_is_parsed_or_damaged() -> None:
    assert bounded.parsed(b'{"a": [1]}') == {"a": [1]}
    for text in (b"", b"{", b"[" * 100_000, b"\xff\xfe", b"9" * 10_000, b" " * (bounded.LONGEST_JSON + 1)):
        with pytest.raises(Damaged):
            bounded.parsed(text)


def test_inflation_takes_what_is_asked_for() -> None:
    bomb = gzip.compress(bytes(50 << 20))
    content = bounded.Inflation(bomb)
    assert content.read(10) == bytes(10)
    assert len(content.read(1000)) == 1000
    assert not content.ended
    whole = bounded.Inflation(gzip.compress(b"abc"))
    assert (whole.read(100), whole.ended) == (b"abc", True)
    broken = bytearray(gzip.compress(b"abc"))
    broken[-6] ^= 1  # of the checksum
    with pytest.raises(Damaged, match="cut off or damaged"):
        bounded.Inflation(bytes(broken)).read(100)


def test_members_of_zips(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("small", b"abc")
        archive.writestr("bomb", bytes(40 << 20))
        archive.writestr(zipfile.ZipInfo("lzma"), b"abc", zipfile.ZIP_LZMA)
    with bounded.zipped(path) as archive:
        assert bounded.unzipped(archive, "small", path.stat().st_size) == b"abc"
        with pytest.raises(Damaged, match="claims to hold 41,943,040 bytes"):
            bounded.unzipped(archive, "bomb", path.stat().st_size)
        with pytest.raises(Damaged, match="with a compression"):
            bounded.unzipped(archive, "lzma", path.stat().st_size)
        archive.getinfo("bomb").file_size = 1000  # which the central directory may say
        with pytest.raises((ValueError, zipfile.BadZipFile)):  # which `zipped` turns into damage
            bounded.unzipped(archive, "bomb", path.stat().st_size)
    path.write_bytes(path.read_bytes()[1:])
    with pytest.raises(Damaged, match="cut off or damaged"), bounded.zipped(path) as archive:
        bounded.unzipped(archive, "small", path.stat().st_size)


def test_a_file_longer_than_may_be_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(bytes(10))
    assert bounded.content(tmp_path / "list", 10) == bytes(10)
    with pytest.raises(Damaged, match="holds more than 9 bytes"):
        bounded.content(tmp_path / "list", 9)


@pytest.mark.skipif(os.name == "nt", reason="links take a right on Windows")
def test_a_link_to_itself_leads_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(Damaged, match="names a file outside of its folder"):
        bounded.inside(tmp_path, "loop/a")

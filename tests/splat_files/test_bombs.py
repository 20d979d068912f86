"""Splat files made to fill the memory, or to read what is not theirs, are refused before they do."""

import gzip
import json
import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import splat_variants as variants
from tests.splats import codecs, random_gaussians
from threer_blender import splat_files
from threer_blender.model.errors import UserError

MOST = 200 << 20  # bytes that a small file may take while it is read


def assert_refused(path: Path, match: Any = None) -> None:
    """Asserts that reading raises a UserError that blames the file, and takes little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=match) as caught:
            splat_files.read(path, codecs())
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
    assert not isinstance(caught.value.__cause__, MemoryError)


def spz_head(count: int, version: int = 3, degree: int = 3, streams: int = 0) -> Any:
    return struct.pack("<4sIIBBBB", b"NGSP", version, count, degree, 12, 0, streams)


def ksplat_with(offset: Any, value: Any) -> Any:
    data = bytearray(variants.ksplat(random_gaussians(150, 2), 1))
    struct.pack_into("<I", data, offset, value)
    return bytes(data)


def zstd_bomb(count: int = 400) -> Any:
    """An SPZ file whose table names the true sizes of its streams. Each stream unpacks to 64 MiB instead."""
    import zstandard

    frame = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(64 << 20))
    sizes = [9 * count, count, 3 * count, 3 * count, 4 * count]
    table = b"".join(struct.pack("<QQ", len(frame), size) for size in sizes)
    return spz_head(count, 4, 0, 5) + struct.pack("<I12x", 32) + table + frame * 5


FILES: dict[str, Callable[[], bytes]] = {
    "gzip.spz": lambda: gzip.compress(spz_head(50_000_000) + bytes(300 << 20), 9),
    "count.spz": lambda: gzip.compress(spz_head(0xFFFFFFFF)),
    "zstd.spz": zstd_bomb,
    "table.spz": lambda: spz_head(0xFFFFFFFF, 4, 4, 6) + struct.pack("<I12x", 32) + bytes(200),
    "rows.ply": lambda: variants.ply({"x": np.zeros(1, "f4")}).replace(b"vertex 1", b"vertex 99999999999999999999"),
    "lists.ply": lambda: variants.ply(
        variants.columns(random_gaussians(9)),
        before=[(["element face 4000000000", "property list uint double a"], b"\xff" * 8)],
    ),
    "text.ply": lambda: variants.ply(variants.columns(random_gaussians(9)), text=True).replace(
        b"vertex 9", b"vertex 999999999"
    ),
    "no columns.ply": lambda: (
        b"ply\nformat binary_little_endian 1.0\nelement chunk 9999999999999\nelement vertex 1\n"
        + b"".join(b"property uint packed_%s\n" % name for name in (b"position", b"rotation", b"scale", b"color"))
        + b"end_header\n"
        + bytes(16)
    ),
    "sections.ksplat": lambda: ksplat_with(4, 0xFFFFFFFF),
    "buckets.ksplat": lambda: ksplat_with(4096 + 12, 0xFFFFFFFF),
    "bucket.ksplat": lambda: ksplat_with(4096 + 8, 0xFFFFFFFF),
    "splats.ksplat": lambda: ksplat_with(4096, 0xFFFFFFFF),
    "full.ksplat": lambda: ksplat_with(4096 + 32, 0xFFFFFFFF),
    "partial.ksplat": lambda: ksplat_with(4096 + 36, 0xFFFFFFFF),
}


@pytest.mark.parametrize("name", FILES)
def test_counts_and_compression(tmp_path: Path, name: Any) -> None:
    if "zstd" in name:
        pytest.importorskip("zstandard")
    (tmp_path / name).write_bytes(FILES[name]())
    if name in ("bucket.ksplat", "full.ksplat"):  # harmless: nothing of the size that they claim is allocated
        tracemalloc.start()
        splat_files.read(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < MOST
        tracemalloc.stop()
    else:
        assert_refused(tmp_path / name)


def test_one_section_is_not_read_many_times(tmp_path: Path) -> None:
    """Thousands of sections all name the same splats, as none has any bytes of its own."""
    row = 4 + 3 * 4 * 2 + 16 + 4  # bytes: 4 to spare, then place and size, rotation, and colour
    count = 20_000
    # Each section has `count` splats and room for none, so the next one begins where it does.
    section = struct.pack("<IIIIfHxxI4xIIH", count, 0, 0, 0, 1.0, 12, 0, 0, 0, 0).ljust(1024, b"\0")
    head = struct.pack("<BBxxIIIIH", 0, 1, 2000, 2000, count, count, 0).ljust(4096, b"\0")
    (tmp_path / "a.ksplat").write_bytes(head + section * 2000 + bytes(row * count))
    assert_refused(tmp_path / "a.ksplat", "claims to hold")


# ------------------------------------------------------------------ SOG


def sog_with(**changes: Any) -> Any:
    files = variants.sog(random_gaussians(40, 1))
    meta = json.loads(files["meta.json"])
    for name, value in changes.items():
        meta[name] = {**meta[name], **value} if isinstance(value, dict) else value
    return {**files, "meta.json": json.dumps(meta).encode()}


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 10**12},
        {"count": 500_000},
        {"count": 10**400},
        {"count": -1},
        {"count": "40"},
        {"scales": {"codebook": [[0.0] * 100] * 256}},
        {"scales": {"codebook": [0.0]}},
        {"means": {"mins": [[0.0] * 3] * 1000}},
        {"means": {"files": "means_l.webp"}},
        {"shN": {"bands": -1}},
        {"shN": {"bands": 99}},
    ],
)
def test_descriptions_of_sogs(tmp_path: Path, changes: Any) -> None:
    (tmp_path / "a.sog").write_bytes(variants.zipped(sog_with(**changes)))
    assert_refused(tmp_path / "a.sog")


def big_webp() -> Any:
    return variants.webp(np.zeros((8000, 8000, 4), np.uint8))


@pytest.mark.parametrize("name", ["means_l.webp", "scales.webp", "shN_centroids.webp", "shN_labels.webp"])
def test_a_picture_of_many_pixels(tmp_path: Path, name: str) -> None:
    picture = big_webp()
    assert len(picture) < 100_000
    (tmp_path / "a.sog").write_bytes(variants.zipped(sog_with() | {name: picture}))
    assert_refused(tmp_path / "a.sog", "claims to hold 256,000,000 bytes")


def test_a_member_that_inflates(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.sog", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sog_with().items():
            archive.writestr(name, data + bytes(200 << 20) if name == "scales.webp" else data)
    assert_refused(tmp_path / "a.sog", "claims to hold")


@pytest.mark.parametrize("name", ["../secret.webp", "/etc/passwd", "c:\\secret.webp", "link.webp"])
def test_names_outside_of_a_sogs_folder(tmp_path: Path, name: str) -> None:
    meta = variants.written(tmp_path / "sog", sog_with(scales={"files": [name]}))
    (tmp_path / "secret.webp").write_bytes(b"not yours")
    if name.startswith("link"):
        if os.name == "nt":
            pytest.skip("links take a right on Windows")
        (tmp_path / "sog" / "link.webp").symlink_to(tmp_path / "secret.webp")
    assert_refused(meta, "names a file outside of its folder")
    (tmp_path / "a.sog").write_bytes(variants.zipped(sog_with(scales={"files": [name]})))
    assert_refused(tmp_path / "a.sog")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files in folders")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    meta = variants.written(tmp_path, sog_with(scales={"files": ["it.webp"]}))
    if kind == "pipe":
        os.mkfifo(tmp_path / "it.webp")
    elif kind == "device":
        (tmp_path / "it.webp").symlink_to("/dev/zero")
    else:
        (tmp_path / "it.webp").mkdir()
    assert_refused(meta, "is no regular file|outside of its folder")
    assert_refused(tmp_path / "it.webp", "is no regular file")


@pytest.mark.parametrize(
    "repeated", [{"0": {"file": 0, "offset": 0, "count": 40}}, {"0": {"file": 0, "offset": 1 << 70, "count": 1}}]
)
def test_levels_that_repeat_themselves(tmp_path: Path, repeated: Any) -> None:
    """A tree of many leaves cannot make more splats than its files hold."""
    variants.written(tmp_path / "a", variants.sog(random_gaussians(40, 0)))
    tree = {"children": [{"lods": repeated}] * 20_000}
    meta = {"lodLevels": 1, "filenames": ["a/meta.json"], "tree": tree}
    (tmp_path / "lod-meta.json").write_text(json.dumps(meta))
    if repeated["0"]["offset"]:
        assert_refused(tmp_path / "lod-meta.json")
    else:
        assert len(splat_files.read(tmp_path / "lod-meta.json", codecs()).gaussians) == 40

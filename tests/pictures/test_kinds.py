"""Files of many kinds, each made here from one picture, whose pixels come back: formats, depths, layouts, colours."""

from __future__ import annotations

import io
import itertools
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pillow_heif
import pytest
import tifffile
from av.video.stream import VideoStream
from PIL import Image, ImageCms, TiffImagePlugin

from tests.pictures.saved import Warned, difference, read_one, save, scene
from threer_blender.files import exr_file
from threer_blender.model.arrays import Array
from threer_blender.pictures import light, photos

pillow_heif.register_heif_opener()
PICTURE = scene()
GREY = scene()[..., 2]


def reading(path: Path) -> tuple[Array, str]:
    """The pixels of a file (H, W, 3), and the warnings about it in one text."""
    warned = Warned()
    result = photos.read([path], warned)
    assert not result.unregistered, result.unregistered
    return photos.pixels(result.accepted[0]), " ".join(sentence for sentence, _ in warned.sentences)


def colours(grey: Array) -> Array:
    return np.repeat(grey[..., None], 3, axis=-1)


# Formats

FORMATS: list[tuple[str, dict[str, Any], float]] = [
    ("a.jpg", {}, 2),
    ("a.jpeg", {"progressive": True, "quality": 97, "subsampling": 0}, 2),
    ("a.jfif", {"format": "JPEG", "quality": 97, "subsampling": 0}, 2),
    ("a.jpe", {"format": "JPEG", "quality": 97, "subsampling": 0, "restart_marker_rows": 1}, 2),
    ("a.MPO", {"format": "MPO", "save_all": True, "append_images": [Image.new("RGB", (160, 96))], "quality": 97}, 5),
    ("a.png", {}, 0),
    ("a.tif", {}, 0),
    ("a.TIFF", {"compression": "tiff_lzw"}, 0),
    ("b.tif", {"compression": "tiff_adobe_deflate"}, 0),
    ("c.tif", {"compression": "packbits"}, 0),
    ("d.tif", {"compression": "zstd"}, 0),
    ("e.tif", {"compression": "jpeg", "quality": 97}, 5),
    ("a.webp", {"lossless": True}, 0),
    ("b.webp", {"quality": 95}, 5),
    ("a.bmp", {}, 0),
    ("a.heic", {"quality": 97}, 3),
    ("a.HIF", {"quality": 97, "format": "HEIF"}, 3),
    ("a.avif", {"quality": 97, "subsampling": "4:4:4"}, 3),
    ("b.avif", {"quality": 97, "subsampling": "4:4:4", "range": "limited"}, 4),
    ("c.jpg", {"format": "PNG"}, 0),  # what the name says does not count
    ("a.dng", {"format": "PNG"}, 0),
    ("a.CR2", {"format": "JPEG", "quality": 97, "subsampling": 0}, 2),
    ("a.exr", {"format": "TIFF"}, 0),
    ("b.dpx", {"format": "PNG"}, 0),
]


@pytest.mark.parametrize("compression", ["none", "rle", "zip1", "zip16"])
def test_an_exr_that_is_cut_is_left_out(tmp_path: Path, compression: str) -> None:
    """FFmpeg would read it, with black in place of the lines that are missing."""
    path = tmp_path / "a.exr"
    codec = av.CodecContext.create("exr", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 160, 96, "gbrpf32le", Fraction(1, 24)
    codec.options = {"compression": compression}
    frame = av.VideoFrame(160, 96, "gbrpf32le")
    for number, plane in enumerate(frame.planes):
        plane.update(np.ascontiguousarray(light.linear(PICTURE)[..., (1, 2, 0)[number]], "<f4").tobytes())
    data = b"".join(bytes(packet) for packet in codec.encode(frame))
    path.write_bytes(data)
    assert difference(photos.pixels(read_one(path)), PICTURE) < 1
    for length in (len(data) - 1, len(data) * 9 // 10, len(data) // 2, 500):
        path.write_bytes(data[:length])
        assert photos.read([path], Warned()).accepted == []


def test_an_exr_under_another_ending_is_named_so(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    exr_file.write(path, light.linear(PICTURE))
    (entry,) = photos.read([path.rename(tmp_path / "a.png")], Warned()).unregistered
    assert "It is an EXR file" in entry.reason


def test_videos_and_pictures_under_each_others_names_are_named_so(tmp_path: Path) -> None:
    picture, film = save(tmp_path / "a.mp4", PICTURE, format="JPEG"), tmp_path / "b.jpg"
    with av.open(str(film), "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=24)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(PICTURE[:96, :160]), "rgb24")))
        container.mux(stream.encode())
    reasons = [entry.reason for entry in photos.read([picture, film], Warned()).unregistered]
    assert ["It is a picture" in reasons[0], "It is a video" in reasons[1]] == [True, True]


@pytest.mark.parametrize(("name", "options", "tolerance"), FORMATS)
def test_formats(tmp_path: Path, name: str, options: dict[str, Any], tolerance: float) -> None:
    path = save(tmp_path / name, PICTURE, **options)
    assert difference(photos.pixels(read_one(path)), PICTURE) <= tolerance


# Kind of file -> the modes that Pillow writes into it as they are.
MODES = {
    "png": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "tif": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr"],
    "jpg": ["1", "L", "RGB", "CMYK", "YCbCr"],
    "webp": ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"],
    "bmp": ["1", "L", "P", "RGB", "RGBA"],
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
def test_modes(tmp_path: Path, kind: str, mode: str) -> None:
    image = Image.fromarray(PICTURE)
    if mode == "I;16":
        image = Image.fromarray(GREY.astype(np.uint16) * 257)
    else:
        image = image.quantize(256) if mode == "P" else image.convert(mode)
    path = save(tmp_path / f"a.{kind}", image, **({"lossless": True} if kind == "webp" else {}))
    expected = colours(GREY) if mode == "I;16" else np.asarray(image.convert("RGB"))
    assert difference(reading(path)[0], expected) < 3


# TIFF of more than 8 bits, written by tifffile


def deep(dtype: str, picture: Array) -> Array:
    """The 8-bit picture in another type. Whole numbers are spread over their range, floats are linear light."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return light.linear(picture).astype(kind)
    return (picture.astype(np.uint64) * (np.iinfo(kind).max // 255)).astype(kind)


LAYOUTS = list(itertools.product(["<u2", ">u2", "<u4", "<f2", "<f4", ">f4", "<f8"], ["grey", "planes", "pixels"]))


@pytest.mark.parametrize(("dtype", "layout"), LAYOUTS)
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"rowsperstrip": 7}, {"tile": (32, 48)}])
def test_deep_tiff(tmp_path: Path, dtype: str, layout: str, options: dict[str, Any]) -> None:
    path = tmp_path / "deep.tif"
    picture = GREY if layout == "grey" else PICTURE
    values = deep(dtype, picture)
    facts: dict[str, Any] = {"photometric": "minisblack"} if layout == "grey" else {"photometric": "rgb"}
    if layout == "planes":
        values, facts = np.ascontiguousarray(values.transpose(2, 0, 1)), facts | {"planarconfig": "separate"}
    tifffile.imwrite(path, values, byteorder=dtype[0], **facts, **options)
    pixels, notes = reading(path)
    assert np.abs(pixels.astype(int) - (colours(GREY) if layout == "grey" else PICTURE)).max() <= 1
    assert ("linear light" in notes) == ("f" in dtype)


@pytest.mark.parametrize("dtype", ["<u1", "<u2", "<u4"])
@pytest.mark.parametrize("layout", ["miniswhite", "minisblack"])
def test_grey_tiff_whose_zero_is_white_or_black(tmp_path: Path, dtype: str, layout: str) -> None:
    path = tmp_path / "grey.tif"
    values = deep(dtype, GREY if layout == "minisblack" else 255 - GREY)
    tifffile.imwrite(path, values, photometric=layout)
    assert np.abs(reading(path)[0].astype(int) - colours(GREY)).max() <= 1


@pytest.mark.parametrize("dtype", ["<u1", "<u2"])
@pytest.mark.parametrize("planes", [True, False])
def test_print_colours_and_transparency_in_tiff(tmp_path: Path, dtype: str, planes: bool) -> None:
    path = tmp_path / "a.tif"
    facts: dict[str, Any] = {"planarconfig": "separate"} if planes else {"planarconfig": "contig"}
    ink = np.asarray(Image.fromarray(PICTURE).convert("CMYK"))
    half, thin = (np.dstack([values, np.full_like(GREY, 128)]) for values in (PICTURE, ink))
    black = np.zeros_like(PICTURE)
    clear = np.dstack([ink, np.zeros_like(GREY)])
    for values, photometric, extra, expected in (
        (ink, "separated", {}, PICTURE),
        (half, "rgb", {"extrasamples": ["unassalpha"]}, PICTURE * (128 / 255)),
        (thin, "separated", {"extrasamples": ["unassalpha"]}, PICTURE * (128 / 255)),
        (clear, "separated", {"extrasamples": ["unassalpha"]}, black),
        (np.zeros_like(clear), "separated", {"extrasamples": ["assocalpha"]}, black),
    ):
        stored = deep(dtype, values)
        stored = np.ascontiguousarray(stored.transpose(2, 0, 1)) if planes else stored
        tifffile.imwrite(path, stored, photometric=photometric, **facts, **extra)
        assert difference(reading(path)[0], np.rint(expected)) < 2, photometric


def with_predictor(values: Array, predictor: int) -> bytes:
    """A packed TIFF of one strip, whose values (H, W, 3) are replaced by differences, as TIFF's specifications say.

    Pillow packs the bytes, as if they were a grey picture. The file is then put together here, tag by tag.
    """
    height, width, samples = values.shape
    rows = values
    if predictor == 2:
        rows = np.concatenate([values[:, :1], np.diff(values, axis=1)], axis=1)
        body = np.ascontiguousarray(rows).tobytes()
    else:
        size = values.dtype.itemsize
        high_first = values.astype(values.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
        sorted_bytes = high_first.reshape(height, -1, size).swapaxes(1, 2).reshape(height, -1, samples)
        body = np.concatenate([sorted_bytes[:, :1], np.diff(sorted_bytes, axis=1)], axis=1).astype(np.uint8).tobytes()
    buffer = io.BytesIO()
    stand_in = np.frombuffer(body, np.uint8).reshape(height, -1)
    Image.fromarray(stand_in).save(buffer, "TIFF", compression="tiff_adobe_deflate", tiffinfo={278: height})
    with Image.open(io.BytesIO(buffer.getvalue())) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        offsets, counts = image.tag_v2[273], image.tag_v2[279]
    packed = b"".join(buffer.getvalue()[o : o + c] for o, c in zip(offsets, counts, strict=True))
    assert len(offsets) == 1
    # Width, height, compression (Deflate), RGB, the strip's offset, samples per pixel, rows per strip, the strip's
    # length, and one plane; then bits per sample, the predictor, and the type of a sample (3 is float).
    entries = {256: width, 257: height, 259: 8, 262: 2, 273: 8, 277: samples, 278: height, 279: len(packed), 284: 1}
    entries |= {258: 8 * values.dtype.itemsize, 317: predictor, 339: 3 if values.dtype.kind == "f" else 1}
    start = 8 + len(packed)
    arrays = start + 2 + 12 * len(entries) + 4
    directory, after = struct.pack("<H", len(entries)), b""
    for tag, value in sorted(entries.items()):
        if tag in (258, 339):
            directory += struct.pack("<HHII", tag, 3, samples, arrays + len(after))
            after += struct.pack(f"<{samples}H", *[value] * samples)
        else:
            directory += struct.pack("<HHII", tag, 4, 1, value)
    return struct.pack("<2sHI", b"II", 42, start) + packed + directory + bytes(4) + after


@pytest.mark.parametrize(("dtype", "predictor"), [("<u2", 2), ("<u4", 2), ("<f4", 3), ("<f2", 3), ("<f8", 3)])
def test_predictors_of_tiff(tmp_path: Path, dtype: str, predictor: int) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(with_predictor(deep(dtype, PICTURE), predictor))
    assert np.abs(reading(path)[0].astype(int) - PICTURE).max() <= 1


def test_a_second_decoder_reads_the_same_from_deep_tiff(tmp_path: Path) -> None:
    for index, (planar, order) in enumerate(itertools.product(["separate", "contig"], "<>")):
        path = tmp_path / f"{index}.tif"
        values = deep("<u2", scene(seed=index))
        stored = np.ascontiguousarray(values.transpose(2, 0, 1)) if planar == "separate" else values
        tifffile.imwrite(path, stored, photometric="rgb", planarconfig=planar, byteorder=order)
        with av.open(str(path)) as container:
            theirs = next(container.decode(video=0)).to_ndarray(format="rgb48le").astype(np.uint16) >> 8
        assert np.abs(reading(path)[0].astype(int) - theirs).max() <= 1


# Pictures written by FFmpeg


def by_ffmpeg(path: Path, codec: str, kind: str, values: Array, **options: Any) -> Path:
    """Writes one picture with FFmpeg. `kind` is the file's pixel format, which `values` have already."""
    form = options.pop("format", "image2")
    with av.open(str(path), "w", format=form, options={"update": "1"} if form == "image2" else {}) as container:
        stream = container.add_stream(codec, rate=1, options=options.pop("codec_options", {}))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = PICTURE.shape[1], PICTURE.shape[0], kind
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(values), format=kind)
        for name, value in options.items():
            setattr(stream.codec_context, name, value)
            setattr(frame, name, value)
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


DEEP = [
    ("png", "png", "rgb48be"), ("png", "png", "gray16be"), ("tif", "tiff", "rgb48le"), ("tif", "tiff", "gray16le"),
]  # fmt: skip


@pytest.mark.parametrize(("suffix", "codec", "kind"), DEEP)
def test_16_bit_pictures_of_ffmpeg(tmp_path: Path, suffix: str, codec: str, kind: str) -> None:
    picture = PICTURE if "rgb" in kind else GREY
    values = deep("<u2", picture)
    path = by_ffmpeg(tmp_path / f"deep.{suffix}", codec, kind, values)
    assert np.abs(reading(path)[0].astype(int) - (PICTURE if "rgb" in kind else colours(GREY))).max() <= 1


# Linear light, HDR and colour spaces


@pytest.mark.parametrize("name", ["still.exr", "sky dome.EXR"])
def test_exr_stills(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    exr_file.write(path, light.linear(PICTURE))
    assert np.abs(reading(path)[0].astype(int) - PICTURE).max() <= 1


def hdr_codes(picture: Array, transfer: int) -> Array:
    """The picture in BT.2020 as codes of PQ or HLG, from 0 to 1. White is 203 cd/m², or 75 % of HLG (BT.2100)."""
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    nits = light.linear(picture).astype(float) @ to_2020.T * 203
    if transfer == light.PQ:
        power = (nits / 10_000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    scene_light = nits / 203 * 0.2650  # HLG codes this white as 75 %
    upper = 0.17883277 * np.log(np.maximum(12 * scene_light - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene_light <= 1 / 12, np.sqrt(3 * scene_light), upper)


@pytest.mark.parametrize("transfer", [light.PQ, light.HLG])
def test_hdr_heic(tmp_path: Path, transfer: int) -> None:
    codes = np.rint(hdr_codes(PICTURE, transfer) * 65535).astype("<u2")
    image = pillow_heif.from_bytes("RGB;16", (PICTURE.shape[1], PICTURE.shape[0]), codes.tobytes())
    options = {"quality": 95, "chroma": 444, "matrix_coefficients": 9, "full_range_flag": 1}
    path = tmp_path / "hdr.heic"
    image.save(path, color_primaries=9, transfer_characteristics=transfer, **options)
    photo = read_one(path)
    assert difference(photos.pixels(photo), PICTURE) < 5
    assert not photos.blender_shows(photo)


@pytest.mark.parametrize("transfer", [light.PQ, light.HLG])
def test_codes_of_light_become_the_picture(transfer: int) -> None:
    codes = np.rint(hdr_codes(PICTURE, transfer) * 65535).astype(np.uint16)
    assert np.abs(light.to_srgb(codes, transfer, 9).astype(int) - PICTURE).max() <= 9  # near white, light is compressed


def test_wide_primaries_without_a_profile() -> None:
    """The red of Display P3 lies outside of sRGB. Its greys are those of sRGB."""
    grey = np.full((4, 4, 3), 30_000, np.uint16)
    assert np.abs(light.to_srgb(grey, 13, 12).astype(int) - round(30_000 / 257)).max() <= 1
    red = light.to_srgb(np.array([[[65535, 0, 0]]], np.uint16), 13, 12)[0, 0]
    assert red.tolist() == [255, 0, 0]
    muted = light.to_srgb(np.array([[[40_000, 25_000, 25_000]]], np.uint16), 13, 12)[0, 0].astype(int)
    assert muted[0] > 40_000 / 257 + 2
    assert muted[1] < 25_000 / 257


@pytest.mark.parametrize("transfer", [light.PQ, light.HLG])
def test_hdr_avif(tmp_path: Path, transfer: int) -> None:
    codes = hdr_codes(PICTURE, transfer)
    luma = codes @ [0.2627, 0.6780, 0.0593]
    chroma = [(codes[::2, ::2, 2] - luma[::2, ::2]) / 1.8814, (codes[::2, ::2, 0] - luma[::2, ::2]) / 1.4746]
    planes = [np.rint(part).astype("<u2") for part in (1023 * luma, *(512 + 1023 * part for part in chroma))]
    facts = {"color_trc": transfer, "color_primaries": 9, "colorspace": 9, "color_range": 2}
    values = np.concatenate([plane.ravel() for plane in planes]).reshape(-1, PICTURE.shape[1])
    options = {"format": "avif", "codec_options": {"crf": "10"}}
    path = by_ffmpeg(tmp_path / "hdr.avif", "libsvtav1", "yuv420p10le", values, **options, **facts)
    assert difference(photos.pixels(read_one(path)), PICTURE) < 5


def test_adobe_rgb_named_in_exif_alone(tmp_path: Path) -> None:
    """Cameras write R03 into EXIF's directory of interoperability, and no profile. The red is redder than sRGB's."""
    exif = Image.Exif()
    exif[0x8769] = {0xA001: 65535, 0xA005: {1: "R03"}}
    picture = np.zeros((80, 80, 3), np.uint8)
    picture[:40], picture[40:] = (180, 100, 100), (128, 128, 128)
    parsed = Image.Exif()
    parsed.load(exif.tobytes())
    path = save(tmp_path / "camera.jpg", picture, exif=parsed)
    photo = read_one(path)
    pixels = photos.pixels(photo).astype(int)
    # By Adobe RGB (1998): gamma 563/256, its primaries to sRGB's; greys stay, nearly.
    assert np.abs(pixels[20, 40] - (202, 100, 99)).max() <= 3
    assert np.abs(pixels[60, 40] - 128).max() <= 2
    assert not photos.blender_shows(photo)


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp", "heic", "avif"])
def test_srgb_as_a_profile_changes_nothing(tmp_path: Path, kind: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    settings: dict[str, dict[str, Any]] = {"webp": {"lossless": True}, "heic": {"quality": 97}, "avif": {"quality": 97}}
    options = settings.get(kind, {})
    photo = read_one(save(tmp_path / f"a.{kind}", PICTURE, icc_profile=profile, **options))
    assert difference(photos.pixels(photo), PICTURE) < 4
    assert photos.blender_shows(photo) == (kind not in ("heic", "avif"))


# BigTIFF


@pytest.mark.parametrize("dtype", ["<u1", "<u2", "<f4", ">u1", ">u2", ">f4"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_big_tiff_is_read_or_named(tmp_path: Path, dtype: str, planar: Any) -> None:
    """Pillow reads no BigTIFF whose high bytes come first."""
    path = tmp_path / "big.tif"
    values = PICTURE if "1" in dtype else deep(dtype, PICTURE)
    stored = np.ascontiguousarray(values.transpose(2, 0, 1)) if planar == "separate" else values
    tifffile.imwrite(path, stored, photometric="rgb", planarconfig=planar, byteorder=dtype[0], bigtiff=True)
    if dtype[0] == ">":
        (refused,) = photos.read([path], lambda _text, _photo: None).unregistered
        assert "BigTIFF" in refused.reason
    else:
        assert np.abs(reading(path)[0].astype(int) - PICTURE).max() <= 1

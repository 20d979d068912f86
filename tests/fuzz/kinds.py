"""The table of kinds that are fuzzed. A new one is a row here: examples, how they are written and read, its errors.

`packed=False`: the parts are written as they are, so damage to the written files is no other than damage to the parts.
"""

import gzip
import importlib.util
import io
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from tests import splat_variants as variants
from tests.exchange.solves import scene
from tests.exchange.solves.test_las import RECORDED
from tests.fuzz.inputs import Kind, Parts, single
from tests.numbered_films import KINDS as KINDS_OF_FILMS
from tests.numbered_films import write
from tests.pictures import saved
from tests.splats import codecs, random_gaussians
from tests.test_bundle import example
from threer_blender import bundle, splat_files
from threer_blender.exchange.solves import reading
from threer_blender.files import array_file, bounded, mesh_file, scene_camera_files, survey_files
from threer_blender.files.bundle_folder import ARRAYS, SCENE
from threer_blender.jobs import messages
from threer_blender.lenses import known
from threer_blender.model.arrays import Array
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Photo
from threer_blender.model.textured_mesh import TexturedMesh
from threer_blender.pictures import masks, photos


def _splats(path: Path) -> Any:
    return splat_files.read(path, codecs())


def _ply() -> Sequence[Parts]:
    """Each sort of PLY that is read, small."""
    named = variants.columns(random_gaussians(40, 1))
    few = variants.columns(random_gaussians(20, 0), normals=False)
    faces = (["element face 2", "property list uchar int vertex_indices"], bytes([1, 0, 0, 0, 0]) * 2)
    colors = variants.replaced(
        few, [f"f_dc_{i}" for i in range(3)], {c: np.zeros(20, "u1") for c in ("red", "green", "blue")}
    )
    flat = {name: values for name, values in few.items() if name != "scale_2"}
    doubles = few | {name: few[name].astype("f8") + 1e6 for name in "xyz"}
    files = [
        variants.ply(named),
        variants.ply(few, text=True, newline="\r\n"),
        variants.ply(few, order=">", before=[faces], comments=["Vertical axis: z", "SplatRenderMode: mip"]),
        variants.ply(colors | {"filter_3D": np.full(20, 0.1, "f4")}),
        variants.ply(flat),
        variants.ply(doubles),
        variants.ply(variants.columns(random_gaussians(10, 4))),
    ]
    return [{"file": file} for file in files]


def _compressed_ply() -> Sequence[Parts]:
    return [{"file": variants.compressed_ply(random_gaussians(300, degree))} for degree in (0, 2)]


def _splat() -> Sequence[Parts]:
    return [{"file": variants.splat(random_gaussians(30, 0))}]


def _ksplat() -> Sequence[Parts]:
    return [{"file": variants.ksplat(random_gaussians(150, degree), level)} for level in (0, 1, 2) for degree in (1, 2)]


def _spz() -> Sequence[Parts]:
    """Files without their gzip: damage hits the content or, once that is packed again, the gzip itself."""
    files = [variants.spz(random_gaussians(40, v), v, system) for v, system in ((1, None), (2, 6), (3, 12), (3, None))]
    return [{"content": gzip.decompress(file)} for file in files]


def _gzipped(parts: Parts, folder: Path) -> Path:
    return single(".spz")({"file": gzip.compress(parts["content"], 1)}, folder)


def _spz4() -> Sequence[Parts]:
    import zstandard

    compress = zstandard.ZstdCompressor().compress
    return [{"file": variants.spz(random_gaussians(40, degree), 4, 6, zstd=compress)} for degree in (0, 4)]


def _sog() -> Sequence[Parts]:
    return [variants.sog(random_gaussians(60, degree), version) for version in (1, 2) for degree in (0, 2)]


def _zipped(parts: Parts, folder: Path) -> Path:
    return single(".sog")({"file": variants.zipped(parts)}, folder)


def _streamed_sog() -> Sequence[Parts]:
    leaf = {"lods": {"0": {"file": 0, "offset": 0, "count": 20}, "1": {"file": 1, "offset": 0, "count": 5}}}
    meta = {"version": 1, "lodLevels": 2, "filenames": ["a/meta.json", "b/meta.json"], "tree": {"children": [leaf]}}
    parts = {"lod-meta.json": json.dumps(meta | {"environment": "b/meta.json"}).encode()}
    for folder in "ab":
        parts |= {f"{folder}/{name}": data for name, data in variants.sog(random_gaussians(20, 1)).items()}
    return [parts]


def _folder(parts: Parts, folder: Path) -> Path:
    for name, data in parts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return folder / next(iter(parts))


def _arrays() -> Sequence[Parts]:
    rng = np.random.default_rng(0)
    named = {"a": rng.normal(size=(20, 3)).astype("f4"), "b/c": np.arange(60), "mask": np.zeros((7, 9), bool)}
    with tempfile.TemporaryDirectory() as folder:
        array_file.write(named | {"none": np.empty((0, 3), "f4")}, Path(folder) / "arrays")
        return [{"file": (Path(folder) / "arrays").read_bytes()}]


def _read_arrays(path: Path) -> Any:
    """Reads arrays whatever their checksum is, and touches all values."""
    return [array.sum() for array in array_file.read(path, sha256(path.read_bytes()).hexdigest()).values()]


def _bundle() -> Sequence[Parts]:
    with tempfile.TemporaryDirectory() as folder:
        written = bundle.write(example(Path(folder)), Path(folder) / "bundle")
        return [{path.name: path.read_bytes() for path in written.iterdir()}]


def _bundle_folder(parts: Parts, folder: Path) -> Path:
    """Writes a bundle with the checksum of the arrays that are there, so that damage to them gets past it."""
    scene = parts[SCENE]
    stated = re.search(rb'"arrays_sha256": "(\w*)"', scene)
    if stated:
        scene = scene.replace(stated[1], sha256(parts[ARRAYS]).hexdigest().encode())
    return _folder({**parts, SCENE: scene}, folder).parent


def _checkpoints(suffix: str) -> Callable[[], Sequence[Parts]]:
    """A small checkpoint as torch, or the library of safetensors, writes it."""

    def examples() -> Sequence[Parts]:
        import torch
        from safetensors.torch import save

        tensors = {"a.weight": torch.randn(7, 3), "a.bias": torch.randn(7), "mask": torch.zeros(1, dtype=torch.float16)}
        if suffix == ".safetensors":
            return [{"file": save(tensors)}]
        file = io.BytesIO()
        torch.save({"args": {"epochs": 3}, "model": tensors}, file)
        return [{"file": file.getvalue()}]

    return examples


def _read_checkpoint(path: Path) -> Any:
    """All tensors, and a sum of each that is no larger than a published one."""
    from threer_blender.networks import checkpoints

    return [tensor.double().sum() for tensor in checkpoints.read(path).values() if tensor.numel() < 1 << 20]


def _scans() -> Sequence[Parts]:
    """E57 and LAZ files of other programs."""
    return [{path.name: path.read_bytes()} for path in sorted(RECORDED.glob("*.e57")) + sorted(RECORDED.glob("*.laz"))]


def _solves() -> Sequence[Parts]:
    """The files of each program; the first of them is the solve."""
    examples = []
    for program in scene.WRITERS:
        with tempfile.TemporaryDirectory() as folder:
            path = scene.write(program, Path(folder))
            files = [path, *(file for file in Path(folder).rglob("*") if file.is_file() and file != path)]
            examples.append({file.name: file.read_bytes() for file in files})
    return [*examples, *_colmap_models()]


def _colmap_models() -> Sequence[Parts]:
    """A small model of COLMAP's, binary and text."""
    import pycolmap

    options = pycolmap.SyntheticDatasetOptions()
    options.num_frames_per_rig, options.num_points3D = 3, 8
    model = pycolmap.synthesize_dataset(options)
    examples = []
    for save in (model.write_binary, model.write_text):
        with tempfile.TemporaryDirectory() as folder:
            save(folder)
            names = [path.name for path in Path(folder).iterdir()]
            first = next(name for name in names if name.startswith("images"))
            examples.append({name: (Path(folder) / name).read_bytes() for name in (first, *sorted({*names} - {first}))})
    return examples


def _lens_file() -> Sequence[Parts]:
    plate, camera = {"width": 640, "height": 420}, {"fx": 520.0, "fy": 531.0, "cx": 331.3, "cy": 201.8}
    models = [("RADIAL", {"k1": -0.2, "k2": 0.03}), ("PINHOLE", {})]
    lenses = [
        {"name": "24 mm", "plate": plate, "camera": camera, "distortion": {"model": model, "params": params}}
        for model, params in models
    ]
    return [{"file": json.dumps({"lenses": lenses}).encode()}]


def _scene_cameras() -> Sequence[Parts]:
    camera = {"photo": "a.jpg", "lens": 35.0, "sensor_fit": "AUTO", "sensor_width": 36.0, "sensor_height": 24.0}
    camera |= {"shift_x": 0.1, "shift_y": 0.0, "matrix_world": np.eye(4).tolist()}
    return [{"file": json.dumps({"cameras": [camera, camera | {"photo": "b.jpg"}]}).encode()}]


def _read_scene_cameras(path: Path) -> Any:
    return [camera.camera("a.jpg", 640, 480) for camera in scene_camera_files.read(path)]


def _meshes() -> Sequence[Parts]:
    """A mesh of two faces and one of many, as we write them."""
    examples = []
    rng = np.random.default_rng(0)
    for count in (2, 300):
        faces = rng.integers(0, count + 2, (count, 3), np.int32)
        points, corners = rng.random((count + 2, 3), np.float32), rng.random((count, 3, 2), np.float32)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mesh.glb"
            mesh_file.write(TexturedMesh(points, faces, corners, b"a JPEG"), path, np.eye(4))
            examples.append({"file": path.read_bytes()})
    return examples


def _read_mesh(path: Path) -> Any:
    """A mesh, and each corner of its faces."""
    mesh = mesh_file.read(path)
    return mesh.vertices[mesh.faces].sum()


def _survey() -> Sequence[Parts]:
    texts = ["name,x,y,z\nP1,1,2.5,-3\nP2,4,5,6\n", "P1;1;2.5;-3\r\nP2;4;5e2;6\r\n", "# marks\nP1\t1001\t3.5\t4\n"]
    return [{"file": text.encode()} for text in texts]


def _messages() -> Sequence[Parts]:
    rows: list[messages.Message] = [
        messages.ReconstructionRequest(["a.jpg"], "classical", "out", {"refine": True}, {"w": "/w"}),
        messages.Progress("Matching", 0.5),
        messages.Done("out", 3, 4, 1000),
        messages.SetUp(["torch"]),
    ]
    return [{"file": messages.to_line(row).encode()} for row in rows]


def _read_message(path: Path) -> Any:
    return messages.from_line(path.read_bytes().decode("utf-8", "replace"))


def _photos() -> Sequence[Parts]:
    """A small photo of each format that Pillow writes without help."""
    from PIL import Image

    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    exif = saved.tags(FocalLength=35.0, Orientation=6)
    rows = [("JPEG", {"exif": exif}), ("PNG", {}), ("TIFF", {}), ("WEBP", {"exif": exif}), ("BMP", {}), ("GIF", {})]
    rows += [("AVIF", {"exif": exif}), ("MPO", {})]
    files = []
    for form, options in rows:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, form, **options)
        files.append({form: file.getvalue()})
    return [*files, *_deep_photos(picture)]


def _deep_photos(picture: Array) -> Sequence[Parts]:
    """A TIFF of floats in separate planes, one of 16 bits in tiles, and a raw file, which has a preview."""
    import tifffile
    from PIL import Image

    files = []
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32)
    for values, layout in ((planes, {"planarconfig": "separate"}), (picture.astype(np.uint16), {"tile": (16, 32)})):
        file = io.BytesIO()
        tifffile.imwrite(file, values, photometric="rgb", compression="zlib", **layout)
        files.append({"TIF": file.getvalue()})
    file = io.BytesIO()
    Image.fromarray(picture).resize((640, 480)).save(file, "JPEG")
    tags = saved.tags(FocalLength=35.0, Orientation=6).tobytes().removeprefix(b"Exif\0\0")
    return [*files, {"DNG": tags + bytes(100) + file.getvalue() + bytes(100)}]


def _masks() -> Sequence[Parts]:
    """A small mask of each sort: black and white, grey, 16 bits, with transparency, with a palette."""
    from PIL import Image

    half = np.repeat(np.array([[0] * 32 + [255] * 32], np.uint8), 48, axis=0)
    grey = Image.fromarray(half)
    files = []
    for picture, form in (
        (grey, "PNG"),
        (grey.convert("1"), "TIFF"),
        (grey.convert("LA"), "PNG"),
        (grey.convert("P"), "BMP"),
        (Image.fromarray(half.astype(np.uint16) * 257), "PNG"),
        (grey.convert("RGB"), "JPEG"),
    ):
        file = io.BytesIO()
        picture.save(file, form)
        files.append({form: file.getvalue()})
    return files


def _read_mask(path: Path) -> Any:
    photo = Photo("a.jpg", "a.jpg", 64, 48, f"{0:064}")
    return masks.Masks(path, {}, {}, False, 2).excluded(photo, None)


def _photo_file(parts: Parts, folder: Path) -> Path:
    ((form, data),) = parts.items()
    return single(f".{form.lower()}")({"file": data}, folder)


def _videos() -> Sequence[Parts]:
    """A film in each of several containers and codecs."""
    names = ("mp4 h264", "avi mjpeg", "avi mpeg4 B", "mkv h264", "mov prores", "mts mpeg2", "webm vp8", "gif", "wmv")
    with tempfile.TemporaryDirectory() as folder:
        paths = [write(KINDS_OF_FILMS[name], Path(folder) / f"film{KINDS_OF_FILMS[name].suffix}") for name in names]
        return [{path.suffix[1:]: path.read_bytes()} for path in paths]


def _read_photos(path: Path) -> Any:
    """Unusable files are reported by name, nothing is raised; the pixels of the others are read, too."""
    read = photos.read([path], lambda _text, _photo: None)
    return [photos.pixels(photo) for photo in read.accepted]


def _blender_splats(path: Path) -> Any:
    from threer_blender.scene import codecs as blenders

    return splat_files.read(path, blenders.available())


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


_ROWS = [
    Kind("ply", _ply, single(".ply"), _splats, (UserError,), packed=False),
    Kind("compressed ply", _compressed_ply, single(".ply"), _splats, (UserError,), packed=False),
    Kind("splat", _splat, single(".splat"), _splats, (UserError,), packed=False),
    Kind("ksplat", _ksplat, single(".ksplat"), _splats, (UserError,), packed=False),
    Kind("spz 1 to 3", _spz, _gzipped, _splats, (UserError,)),
    Kind("spz 4", _spz4, single(".spz"), _splats, (UserError,), packed=False),
    Kind("sog", _sog, _zipped, _splats, (UserError,)),
    Kind("sog folder", _sog, _folder, _splats, (UserError,), packed=False),
    Kind("streamed sog", _streamed_sog, _folder, _splats, (UserError,), packed=False),
    Kind("arrays", _arrays, single(".safetensors"), _read_arrays, (bounded.Damaged,), packed=False),
    Kind("bundle", _bundle, _bundle_folder, bundle.read, (UserError,), packed=False),
    Kind("mesh", _meshes, single(".glb"), _read_mesh, (UserError,), packed=False),
    Kind("photo", _photos, _photo_file, _read_photos, (UserError,), packed=False),
    Kind("video", _videos, _photo_file, _read_photos, (UserError,), packed=False),
    Kind("mask", _masks, _photo_file, _read_mask, (UserError,), packed=False),
    Kind("solve", _solves, _folder, reading.read, (UserError,), packed=False),
    Kind("scan", _scans, _folder, reading.read, (UserError,), packed=False),
    Kind("lens file", _lens_file, single(".json"), known.read, (UserError,), packed=False),
    Kind("scene cameras", _scene_cameras, single(".json"), _read_scene_cameras, (UserError,), packed=False),
    Kind("survey", _survey, single(".csv"), survey_files.read_points, (UserError,), packed=False),
    Kind("survey marks", _survey, single(".csv"), survey_files.read_marks, (UserError,), packed=False),
    Kind("message", _messages, single(".json"), _read_message, (ValueError,), packed=False),
]
if _has("bpy"):
    _ROWS.append(Kind("sog in blender", _sog, _zipped, _blender_splats, (UserError,)))
if _has("torch"):
    _ROWS += [
        Kind(f"checkpoint {suffix}", _checkpoints(suffix), single(suffix), _read_checkpoint, (UserError,), packed=False)
        for suffix in (".safetensors", ".pth")
    ]
KINDS = {kind.name: kind for kind in _ROWS}

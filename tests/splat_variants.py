"""Splat files as other programs write them, made from known Gaussians: PLYs of all kinds, SPZ, SOG of both versions."""

import gzip
import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from threer_blender.model.arrays import Array, UInt8Array
from threer_blender.model.reconstruction import Gaussians
from threer_blender.model.spherical_harmonics import C0

PLY_NAMES = {"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint", "f4": "float"}
PLY_NAMES |= {"f8": "double"}


def logit(opacities: Array) -> Any:
    """The logits of opacities, which are kept off 0 and 1."""
    inside = np.clip(np.asarray(opacities, np.float64), 1e-7, 1 - 1e-7)
    return np.log(inside / (1 - inside))


def columns(gaussians: Gaussians, normals: bool = True) -> Any:
    """Name -> column of a 3DGS PLY."""
    named = dict(zip("xyz", gaussians.means.T, strict=True))
    if normals:
        named |= {name: np.zeros(len(gaussians), np.float32) for name in ("nx", "ny", "nz")}
    named |= {f"f_dc_{i}": gaussians.sh[:, 0, i] for i in range(3)}
    rest = gaussians.sh[:, 1:].swapaxes(1, 2).reshape(len(gaussians), -1)
    named |= {f"f_rest_{i}": rest[:, i] for i in range(rest.shape[1])}
    named["opacity"] = logit(gaussians.opacities).astype(np.float32)
    named |= {f"scale_{i}": np.log(gaussians.scales[:, i]) for i in range(3)}
    return named | {f"rot_{i}": gaussians.rotations[:, i] for i in range(4)}


def replaced(named: Any, old: Any, new: Any) -> Any:
    """`named` with the columns `new` in the place of those called `old`."""
    first = next(iter(old))
    result: dict[str, Any] = {}
    for name, values in named.items():
        if name == first:
            result |= new
        if name not in old:
            result[name] = values
    return result


def ply(
    named: Any,
    *,
    order: str = "<",
    newline: str = "\n",
    comments: Any = (),
    before: Any = (),
    after: Any = (),
    text: bool = False,
) -> Any:
    """The bytes of a PLY; `before` and `after` are (header lines, data) of other elements."""
    form = "ascii" if text else f"binary_{'little' if order == '<' else 'big'}_endian"
    count = len(next(iter(named.values())))
    head = ["ply", f"format {form} 1.0", *(f"comment {comment}" for comment in comments)]
    for lines, _ in before:
        head += lines
    head.append(f"element vertex {count}")
    head += [f"property {PLY_NAMES[values.dtype.str[1:]]} {name}" for name, values in named.items()]
    for lines, _ in after:
        head += lines
    if text:
        rows = zip(*(values.tolist() for values in named.values()), strict=True)
        data = "".join(" ".join(map(repr, row)) + newline for row in rows).encode()
    else:
        row = np.dtype([(name, order + values.dtype.str[1:]) for name, values in named.items()])
        table = np.empty(count, row)
        for name, values in named.items():
            table[name] = values
        data = table.tobytes()
    header = newline.join([*head, "end_header", ""]).encode()
    return header + b"".join(d for _, d in before) + data + b"".join(d for _, d in after)


def spz(
    gaussians: Gaussians, version: int = 3, system: Any = None, flags: int = 0, zstd: Any = None, bits: int = 12
) -> Any:
    """The bytes of an SPZ that holds `gaussians`, with their axes, as exactly as its bytes allow.

    `system` is the number of its coordinate system, None for a file that names none. `bits` are those of a position
    after the point. Where `gaussians` are of degree 4, so is the file.
    """
    count, degree = len(gaussians), int(np.sqrt(gaussians.sh.shape[1])) - 1

    def as_bytes(values: Any) -> Any:
        return np.rint(values).clip(0, 255).astype(np.uint8).tobytes()

    if version == 1:
        positions = gaussians.means.astype("<f2").tobytes()
    else:
        places = np.rint(gaussians.means * 2.0**bits).astype("<i4")
        positions = places.view(np.uint8).reshape(count, 3, 4)[..., :3].tobytes()
    xyzw = np.roll(gaussians.rotations.astype(np.float64), -1, axis=1)
    if version < 3:
        xyzw *= np.where(xyzw[:, 3:] < 0, -1, 1)
        rotations = as_bytes((xyzw[:, :3] + 1) * 127.5)
    else:
        words = np.empty(count, "<u4")
        for row, q in enumerate(xyzw):
            largest = int(np.abs(q).argmax())
            q = q * np.sign(q[largest])
            word = largest
            for index in (i for i in range(4) if i != largest):
                word = word << 10 | (int(q[index] < 0) << 9) | min(511, round(abs(q[index]) * 511 * np.sqrt(2)))
            words[row] = word
        rotations = words.tobytes()
    streams = [
        positions,
        as_bytes(gaussians.opacities * 255),
        as_bytes((gaussians.sh[:, 0] * 0.15 + 0.5) * 255),
        as_bytes((np.log(gaussians.scales) + 10) * 16),
        rotations,
        as_bytes(gaussians.sh[:, 1:] * 128 + 128),
    ]
    streams = [stream for stream in streams if stream]
    records = b"" if system is None else struct.pack("<IIf", 0xADBE0002, 4, 1.0)  # one that is not known comes first
    if system is not None:
        records += struct.pack("<III", 0xADBE0003, 4, system)
        flags |= 2
    head = struct.pack("<4sIIBBBB", b"NGSP", version, count, degree, bits, flags, len(streams) if version == 4 else 0)
    if version < 4:
        return gzip.compress(head + b"".join(streams) + records, mtime=0)
    frames = [zstd(stream) for stream in streams]
    table = b"".join(struct.pack("<QQ", len(f), len(s)) for f, s in zip(frames, streams, strict=True))
    return head + struct.pack("<I12x", 32 + len(records)) + records + table + b"".join(frames)


# ------------------------------------------------------------------ SOG


def webp(picture: UInt8Array) -> Any:
    """The bytes of a lossless WebP of (H, W, 4) uint8."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture, "RGBA").save(file, "WEBP", lossless=True, exact=True)
    return file.getvalue()


def _picture(values: Any, width: int = 20) -> Any:
    """(H, width, 4) of bytes (N, 1 to 4), row by row."""
    count, channels = values.shape
    height = -(-count // width)
    picture = np.zeros((height * width, 4), np.uint8)
    picture[:, 3] = 255
    picture[:count, :channels] = values
    return picture.reshape(height, width, 4)


def _quaternions(rotations: Array) -> Any:
    """(N, 4) uint8: three elements of each quaternion, and 252 plus the index of the largest one, which is left out."""
    rows = np.arange(len(rotations))
    largest = np.abs(rotations).argmax(axis=1)
    signed = rotations * np.sign(rotations[rows, largest])[:, None]
    others = np.stack([np.delete(q, index) for q, index in zip(signed, largest, strict=True)])
    stored = np.rint((others * np.sqrt(2) + 1) * 127.5)
    return np.concatenate([stored, 252 + largest[:, None]], axis=1).astype(np.uint8)


def _scaled_bytes(values: Any, least: Any, most: Any) -> Any:
    """The bytes of values between `least`, which becomes 0, and `most`, which becomes 255."""
    return np.rint((values - least) / np.where(most > least, most - least, 1) * 255).astype(np.uint8)


def sog(gaussians: Gaussians, version: int = 2, **more: Any) -> Any:
    """Name -> bytes of the files of a SOG; the palette of harmonics has an entry a splat. `more` goes into its meta."""
    count, degree = len(gaussians), int(np.sqrt(gaussians.sh.shape[1])) - 1
    spaced = np.sign(gaussians.means) * np.log1p(np.abs(gaussians.means.astype(np.float64)))
    least, most = spaced.min(axis=0), spaced.max(axis=0)
    words = np.rint((spaced - least) / (most - least) * 65535).astype(np.uint16)
    files = {"means_l.webp": webp(_picture((words & 255).astype(np.uint8)))}
    files["means_u.webp"] = webp(_picture((words >> 8).astype(np.uint8)))
    files["quats.webp"] = webp(_picture(_quaternions(gaussians.rotations)))
    meta: dict[str, Any] = {
        "means": {"mins": least.tolist(), "maxs": most.tolist(), "files": ["means_l.webp", "means_u.webp"]}
    }
    meta |= {"quats": {"files": ["quats.webp"]}}
    logs, constant, rest = np.log(gaussians.scales), gaussians.sh[:, 0], gaussians.sh[:, 1:]
    entries = rest.reshape(count, -1, 3)
    if version == 2:
        meta |= {"version": 2, "count": count}
        parts = {"scales": logs, "sh0": constant}
        books = {name: np.linspace(part.min(), part.max(), 256) for name, part in parts.items()}
        stored = {name: _scaled_bytes(part, part.min(), part.max()) for name, part in parts.items()}
        opacity = np.rint(gaussians.opacities * 255).astype(np.uint8)
        stored["sh0"] = np.concatenate([stored["sh0"], opacity[:, None]], axis=1)
        for name in parts:
            meta[name] = {"codebook": books[name].tolist(), "files": [f"{name}.webp"]}
    else:
        meta["means"]["shape"] = [count, 3]
        with_opacity = np.concatenate([constant, logit(gaussians.opacities)[:, None]], axis=1)
        stored = {}
        for name, part in {"scales": logs, "sh0": with_opacity}.items():
            low, high = part.min(axis=0), part.max(axis=0)
            stored[name] = _scaled_bytes(part, low, high)
            meta[name] = {"mins": low.tolist(), "maxs": high.tolist(), "files": [f"{name}.webp"]}
    files |= {f"{name}.webp": webp(_picture(part)) for name, part in stored.items()}
    if degree:
        low, high = float(rest.min()), float(rest.max())
        coefficients = rest.shape[1]
        rows = -(-count // 64)
        palette = np.zeros((rows * 64, coefficients, 4), np.uint8)
        palette[..., 3] = 255
        palette[:count, :, :3] = _scaled_bytes(entries, low, high)
        files["shN_centroids.webp"] = webp(palette.reshape(rows, 64 * coefficients, 4))
        labels = np.arange(count)
        files["shN_labels.webp"] = webp(_picture(np.stack([labels & 255, labels >> 8], axis=1).astype(np.uint8)))
        meta["shN"] = {"files": ["shN_centroids.webp", "shN_labels.webp"]}
        if version == 2:
            meta["shN"] |= {"bands": degree, "count": count, "codebook": np.linspace(low, high, 256).tolist()}
        else:
            meta["shN"] |= {"mins": low, "maxs": high}
    return {"meta.json": json.dumps(meta | more).encode()} | files


def zipped(files: Any) -> Any:
    """The bytes of a zip of files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def written(folder: Path, files: Any) -> Any:
    """Writes name -> bytes into a folder, and returns its meta.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder / "meta.json"


def splat(gaussians: Gaussians) -> Any:
    """The bytes of a .splat."""
    row = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("rotation", "u1", 4)])
    rows = np.zeros(len(gaussians), row)
    rows["mean"], rows["scale"] = gaussians.means, gaussians.scales
    color = 0.5 + C0 * gaussians.sh[:, 0]
    rows["rgba"] = np.rint(255 * np.concatenate([color, gaussians.opacities[:, None]], axis=1)).clip(0, 255)
    rows["rotation"] = np.rint(gaussians.rotations * 128 + 128).clip(0, 255)
    return rows.tobytes()


def ksplat(gaussians: Gaussians, level: Any) -> Any:
    """The bytes of a .ksplat of two sections, compressed at `level` 0, 1 or 2.

    Positions are relative to buckets of 64 splats. The last bucket of each section is not full.
    """
    kinds = [("<f4", "<f4", "<f4"), ("<u2", "<f2", "<f2"), ("<u2", "<f2", "u1")][level]
    rest = gaussians.sh.shape[1] - 1
    row = np.dtype(
        [
            ("mean", kinds[0], 3),
            ("scale", kinds[1], 3),
            ("q", kinds[1], 4),
            ("rgba", "u1", 4),
            ("sh", kinds[2], 3 * rest),
        ]
    )
    headers, bodies = [], []
    for part in np.array_split(np.arange(len(gaussians)), 2):
        bucket = np.arange(len(part)) // 64
        full, left = divmod(len(part), 64)
        centres = np.stack([gaussians.means[part][bucket == b].mean(axis=0) for b in range(bucket.max() + 1)])
        rows = np.zeros(len(part), row)
        relative = (gaussians.means[part] - centres[bucket]) / (8.0 / 2 / 32767) + 32767
        rows["mean"] = gaussians.means[part] if level == 0 else np.rint(relative)
        rows["scale"], rows["q"] = gaussians.scales[part], gaussians.rotations[part]
        color = 0.5 + 0.28209479177387814 * gaussians.sh[part, 0]
        rgba = np.concatenate([color, gaussians.opacities[part, None]], axis=1)
        rows["rgba"] = np.rint(255 * rgba).clip(0, 255)
        bands = [gaussians.sh[part, d * d : (d + 1) ** 2].swapaxes(1, 2) for d in range(1, int(np.sqrt(rest + 1)))]
        values = np.concatenate([band.reshape(len(part), -1) for band in bands], axis=1)
        rows["sh"] = np.rint((values + 2) / 4 * 255).clip(0, 255) if level == 2 else values
        degree = int(np.sqrt(rest + 1)) - 1
        partial = [left] if left else []
        header = struct.pack(
            "<IIIIfHxxI4xIIH", len(part), len(part), 64, len(centres), 8.0, 12, 0, full, len(partial), degree
        )
        headers.append(header.ljust(1024, b"\0"))
        bodies.append(np.array(partial, "<u4").tobytes() + centres.astype("<f4").tobytes() + rows.tobytes())
    main = struct.pack("<BBxxIIIIH", 0, 1, 2, 2, len(gaussians), len(gaussians), level).ljust(36, b"\0")
    main += struct.pack("<ff", -2.0, 2.0)
    return main.ljust(4096, b"\0") + b"".join(headers) + b"".join(bodies)


def compressed_ply(gaussians: Gaussians) -> Any:
    """The bytes of PlayCanvas' compressed PLY."""
    count = len(gaussians)
    chunk = np.arange(count) // 256
    values = {"position": gaussians.means, "scale": np.log(gaussians.scales), "color": 0.5 + C0 * gaussians.sh[:, 0]}
    axes = {"position": ["x", "y", "z"], "scale": ["scale_x", "scale_y", "scale_z"], "color": ["r", "g", "b"]}
    bounds: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    for name, array in values.items():
        low, high = (
            np.array([end(array[chunk == c], axis=0) for c in range(chunk[-1] + 1)]) for end in (np.min, np.max)
        )
        parts[name] = (array - low[chunk]) / np.maximum(high - low, 1e-9)[chunk]
        bounds |= {f"min_{axis}": low[:, i].astype("f4") for i, axis in enumerate(axes[name])}
        bounds |= {f"max_{axis}": high[:, i].astype("f4") for i, axis in enumerate(axes[name])}

    def words(part: Any, bits: Any) -> Any:
        word = np.zeros(count, np.uint32)
        for column, width in zip(part.T, bits, strict=True):
            word = word << np.uint32(width) | np.rint(column * (2**width - 1)).clip(0, 2**width - 1).astype(np.uint32)
        return word

    stored = _quaternions(gaussians.rotations).astype(np.float64)
    rotation = np.concatenate([(stored[:, 3:] - 252) / 3, stored[:, :3] / 255], axis=1)
    named = {
        "packed_position": words(parts["position"], (11, 10, 11)),
        "packed_rotation": words(rotation, (2, 10, 10, 10)),
        "packed_scale": words(parts["scale"], (11, 10, 11)),
        "packed_color": words(np.concatenate([parts["color"], gaussians.opacities[:, None]], axis=1), (8, 8, 8, 8)),
    }
    rest = gaussians.sh[:, 1:].swapaxes(1, 2).reshape(count, -1)
    harmonics = np.floor((rest / 8 + 0.5) * 256).clip(0, 255).astype(np.uint8)
    head = [f"element sh {count}", *(f"property uchar f_rest_{i}" for i in range(harmonics.shape[1]))]
    first = [f"element chunk {chunk[-1] + 1}", *(f"property float {name}" for name in bounds)]
    table = np.stack(list(bounds.values()), axis=1).astype("<f4").tobytes()
    return ply(named, before=[(first, table)], after=[(head, harmonics.tobytes())] if harmonics.size else [])

"""Splat files: round trips, and a sentence for everything that is none."""

import gzip
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import splat_variants as variants
from tests.splats import assert_same, codecs, covariances, matrices, random_gaussians
from threer_blender import splat_files
from threer_blender.model.errors import UserError
from threer_blender.model.quaternions import wxyz_from_matrix
from threer_blender.model.reconstruction import Gaussians
from threer_blender.splat_files.checks import only

DEGREES = pytest.mark.parametrize("degree", [0, 1, 2, 3])


@DEGREES
def test_ply_keeps_everything(tmp_path: Path, degree: int) -> None:
    gaussians = random_gaussians(5000, degree)
    splat_files.write(gaussians, tmp_path / "a.ply")
    actual = splat_files.read(tmp_path / "a.ply")
    assert actual.notes == []
    assert_same(actual.gaussians, gaussians, 2e-6)


@DEGREES
def test_spz_keeps_what_its_bytes_can(tmp_path: Path, degree: int) -> None:
    gaussians = random_gaussians(5000, degree)
    splat_files.write(gaussians, tmp_path / "a.spz")
    actual = splat_files.read(tmp_path / "a.spz").gaussians
    assert np.abs(actual.means - gaussians.means).max() < 1e-6
    assert np.abs(np.log(actual.scales / gaussians.scales)).max() <= 1 / 32 + 1e-5
    assert np.abs(actual.opacities - gaussians.opacities).max() <= 0.5 / 255 + 1e-6
    assert np.abs((actual.rotations * gaussians.rotations).sum(1)).min() > 1 - 1e-5
    # The steps between stored values, in units of 1 / 128. Degree 0 is a colour with steps of 1 / 255 / 0.15. Harmonics
    # are bytes of 128 to a unit, of which degree 1 keeps the upper 5 bits and the degrees above it the upper 4.
    steps = np.concatenate([np.full(2 * d + 1, (128 / 255 / 0.15, 8, 16, 16)[d]) for d in range(degree + 1)])
    expected = np.concatenate([gaussians.sh[:, :1], gaussians.sh[:, 1:].clip(-1, 1)], axis=1)
    error = np.abs(actual.sh - expected).max(axis=(0, 2))
    assert (error <= steps / 2 / 128 + 0.01).all()  # at both ends of the range of bytes, a step is cut short


def test_spz_axes(tmp_path: Path) -> None:
    """Splats in an SPZ file are turned by half a turn about x, with their harmonics.

    `spz_is_y_up=False` reads them as they are in the file, so they come back turned.
    """
    gaussians = random_gaussians(200)
    splat_files.write(gaussians, tmp_path / "a.spz")
    turned = splat_files.read(tmp_path / "a.spz", spz_is_y_up=False).gaussians
    flip = np.array((1, -1, -1))
    assert turned.means == pytest.approx(gaussians.means * flip, abs=1e-6)
    rotation = np.diag(flip)
    assert covariances(turned) == pytest.approx(rotation @ covariances(gaussians) @ rotation, rel=0.15, abs=1e-3)
    assert turned.sh[:, 1:4] == pytest.approx(gaussians.sh[:, 1:4] * np.array([[-1], [-1], [1]]), abs=0.04)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_ksplat_levels(tmp_path: Path, level: int) -> None:
    gaussians = random_gaussians(300, 2)
    (tmp_path / "a.ksplat").write_bytes(variants.ksplat(gaussians, level))
    actual = splat_files.read(tmp_path / "a.ksplat").gaussians
    assert actual.means == pytest.approx(gaussians.means, abs=2e-4 if level else 1e-7)
    assert actual.scales == pytest.approx(gaussians.scales, rel=1e-3)
    assert np.abs((actual.rotations * gaussians.rotations).sum(1)) == pytest.approx(1, abs=1e-5)
    assert actual.opacities == pytest.approx(gaussians.opacities, abs=0.003)
    assert actual.sh[:, 1:] == pytest.approx(gaussians.sh[:, 1:], abs=(1e-7, 1e-3, 0.01)[level])


# ------------------------------------------------------------------ a second reader


@pytest.mark.parametrize("ending", [".ply", ".spz"])
def test_gsply_reads_what_we_write(tmp_path: Path, ending: str) -> None:
    gsply = pytest.importorskip("gsply")
    gaussians = random_gaussians(1000)
    splat_files.write(gaussians, tmp_path / f"a{ending}")
    if ending == ".ply":
        read, ours = gsply.plyread(tmp_path / "a.ply"), gaussians
    else:  # gsply leaves SPZ's axes as they are
        read, ours = (
            gsply.read_spz(tmp_path / "a.spz"),
            splat_files.read(tmp_path / "a.spz", spz_is_y_up=False).gaussians,
        )
    assert np.asarray(read.means) == pytest.approx(ours.means, abs=1e-6)
    assert np.exp(read.scales) == pytest.approx(ours.scales, rel=1e-5)
    assert 1 / (1 + np.exp(-np.asarray(read.opacities))) == pytest.approx(ours.opacities, abs=1e-5)
    quats = np.asarray(read.quats) / np.linalg.norm(read.quats, axis=1, keepdims=True)
    assert np.abs((quats * ours.rotations).sum(1)) == pytest.approx(1, abs=1e-5)
    assert np.asarray(read.sh0) == pytest.approx(ours.sh[:, 0], abs=1e-5)
    assert np.asarray(read.shN) == pytest.approx(ours.sh[:, 1:], abs=1e-5)


@pytest.mark.parametrize("kind", ["ksplat", "splat", "sog", "spz"])
def test_we_read_what_gaussforge_writes(tmp_path: Path, kind: str) -> None:
    gaussforge = pytest.importorskip("gaussforge")
    gaussians = random_gaussians(500, 3 if kind in ("sog", "spz") else 0)  # it mixes up the harmonics of .ksplat
    splat_files.write(gaussians, tmp_path / "ours.ply")
    converted = gaussforge.GaussForge().convert((tmp_path / "ours.ply").read_bytes(), "ply", kind)
    (tmp_path / f"a.{kind}").write_bytes(converted["data"])
    actual = splat_files.read(tmp_path / f"a.{kind}", codecs(), spz_is_y_up=False).gaussians
    assert np.sort(actual.means, axis=0) == pytest.approx(np.sort(gaussians.means, axis=0), abs=2e-3)
    nearest = ((actual.means[:, None] - gaussians.means) ** 2).sum(-1).argmin(1)
    ordered = only(gaussians, nearest)
    assert np.abs(np.log(actual.scales / ordered.scales)).max() < 0.2
    assert np.quantile(np.abs((actual.rotations * ordered.rotations).sum(1)), 0.01) > 0.999
    assert actual.opacities == pytest.approx(ordered.opacities, abs=0.01)
    if kind != "sog":  # whose palette of harmonics is coarse
        assert actual.sh == pytest.approx(ordered.sh.clip(-1, 1) if kind == "spz" else ordered.sh, abs=0.08)


# ------------------------------------------------------------------ bad input


def table(names: list[str], values: Any) -> Any:
    """The bytes of a binary PLY of float columns: `values` (rows, columns) under `names`."""
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(values)}"]
    head += [*(f"property float {name}" for name in names), "end_header", ""]
    return "\n".join(head).encode() + np.asarray(values, "<f4").tobytes()


NAMES = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"]
NAMES += ["scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]


def text_table(names: list[str], values: Any) -> Any:
    """The bytes of the same PLY as text."""
    head = table(names, values).partition(b"end_header\n")[0].replace(b"binary_little_endian", b"ascii")
    lines = "\n".join(" ".join(f"{value:.6g}" for value in row) for row in np.asarray(values))
    return head + b"end_header\n" + lines.encode() + b"\n"


def rows(count: int = 1000) -> Any:
    values = np.random.default_rng(0).normal(size=(count, len(NAMES)))
    values[:, 7:10] -= 3
    return values


MESH = b"ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
MESH += b"element face 1\nproperty list uchar int vertex_indices\nend_header\n" + bytes(36) + bytes(13)
LISTS = table(NAMES, np.zeros((3, 14))).replace(b"end_header", b"property list uchar int more\nend_header")
BAD = {
    "cut.ply": (table(NAMES, rows())[:-5000], "is cut off: 910 of its 1,000 rows"),
    "text.ply": (text_table(NAMES, rows())[:-5000], "of its 1,000 rows are there"),
    "words.ply": (text_table(NAMES, rows()).replace(b"-0.", b"nought."), "has rows of text that are no numbers"),
    "mesh.ply": (MESH, "holds a mesh"),
    "points.ply": (table(["x", "y", "z", "red"], np.zeros((3, 4))), "holds plain points"),
    "none.ply": (table(NAMES, np.zeros((0, len(NAMES)))), "holds no splats"),
    "colourless.ply": (table([n for n in NAMES if "dc" not in n], rows()[:, 3:]), "lacks f_dc_0, f_dc_1, f_dc_2"),
    "harmonics.ply": (table([*NAMES, "f_rest_0"], np.zeros((3, 15))), "has 1 columns f_rest_"),
    "odd.ply": (table([*NAMES, "f_rest_0", "f_rest_1", "f_rest_2"], np.zeros((3, 17))), "has 2 coefficients"),
    "lists.ply": (LISTS, "has lists among the columns of its splats"),
    "twice.ply": (table([*NAMES, "x"], np.zeros((3, 15))), "header that cannot be understood"),
    "one place.ply": (table(NAMES, rows()[:1].repeat(1_000_000, axis=0)), "All 1,000,000 splats"),
    "NaN.ply": (table(NAMES, rows() * np.nan), "all of its 1,000 splats have NaN"),
    # 500 in columns 6 to 8: the opacity and two logarithms of scale, of which the exponential overflows.
    "huge.ply": (table(NAMES, np.where(np.arange(14) // 3 == 2, 500.0, rows())), "have infinite sizes"),
    "unturned.ply": (table(NAMES, np.where(np.arange(14) > 9, 0.0, rows())), "quaternion of zeros"),
    "empty.ply": (b"", "is no PLY file"),
    "header.ply": (b"ply\nformat binary_little_endian 1.0\nelement vertex many\nend_header\n", "cannot be understood"),
    "cut.spz": (b"\x1f\x8b\x08\x00\x00\x00", "is cut off or damaged"),
    "future.spz": (b"NGSP" + struct.pack("<IIBBBB", 9, 1, 0, 12, 0, 0), "of version 9"),
    "short.spz": (b"NGSP" + struct.pack("<IIBBBB", 3, 10, 0, 12, 0, 0), "fewer than its 10 splats"),
    "zstd.spz": (b"NGSP" + struct.pack("<IIBBBBI", 4, 10, 0, 12, 0, 5, 32) + bytes(100), "compressed with zstd"),
    "packed ply.spz": (gzip.compress(table(NAMES, rows())), "is a PLY that gzip compressed; unpack it first"),
    "other.spz": (b"something else, really", "is no SPZ file"),
    "cut.splat": (bytes(33), "no multiple of 32"),
    "cut.ksplat": (bytes(100), "is cut off"),
    "future.ksplat": (b"\x07" + bytes(5000), "of version 7.0"),
    "other.sog": (b"no zip", "is a SOG file, whose pictures only Blender"),
    "text.json": (b"{}", "is a SOG file, whose pictures only Blender"),
    "splats.obj": (b"", "is no splat file that can be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_sentence_for(tmp_path: Path, name: Any) -> None:
    data, sentence = BAD[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError) as caught:
        splat_files.read(tmp_path / name)
    assert sentence in str(caught.value)
    assert name in str(caught.value) or "1,000,000" in str(caught.value)
    assert str(caught.value).endswith(".")


def streamed(**numbers: int) -> str:
    """The description of a streamed SOG of one level, with other `numbers` of its file and its splats."""
    lods = {"0": {"file": 0, "offset": 0, "count": 1} | numbers}
    return json.dumps({"lodLevels": 1, "filenames": ["a"], "tree": {"lods": lods}})


@pytest.mark.parametrize(
    ("meta", "sentence"),
    [
        ('{"version": 3, "count": 10}', "is a SOG file of version 3; versions 1 and 2 can be read"),
        ('{"means": {"shape": [10, 3]}, "scales": {}, "quats": {}}', "is damaged or no SOG file"),
        ('{"version": 2, "lodLevels": 1, "filenames": []}', "is a streamed SOG of version 2; version 1 can be read"),
        (streamed(), "lacks a, which belongs beside it"),
        (streamed(file=-1), "is damaged or no SOG file; get it again"),
        (streamed(offset=-1), "is damaged or no SOG file; get it again"),
        (streamed(count=-1), "is damaged or no SOG file; get it again"),
        ("[" * 100_000, "is damaged; get it again"),
    ],
)
def test_other_sogs_get_a_sentence(tmp_path: Path, meta: Any, sentence: str) -> None:
    (tmp_path / "meta.json").write_text(meta)
    with pytest.raises(UserError, match=sentence):
        splat_files.read(tmp_path / "meta.json", splat_files.Codecs(webp=lambda _: np.zeros((4, 4, 4), np.uint8)))


def test_a_zip_of_other_things(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("scene.ply", b"ply")
    with pytest.raises(UserError, match=r"zip without a SOG's meta\.json; unpack it and choose the splat file in it"):
        splat_files.read(tmp_path / "a.zip", splat_files.Codecs(webp=lambda _: np.zeros((4, 4, 4), np.uint8)))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="could not be read"):
        splat_files.read(tmp_path / "gone.ply")


def test_some_bad_splats_are_left_out_and_counted(tmp_path: Path) -> None:
    values = rows()
    values[3, 0], values[4, 8], values[5, 10:], values[6, 6] = np.nan, 1e4, 0, np.inf
    (tmp_path / "a.ply").write_bytes(table(NAMES, values))
    file = splat_files.read(tmp_path / "a.ply")
    gaussians, notes = file.gaussians, file.notes
    assert len(gaussians) in (996, 997)  # an infinite logit may count as an opacity of 1
    assert len(notes) == 1
    for part in ("of 1,000 splats", "NaN", "infinite sizes", "no rotation", "left out"):
        assert part in notes[0]
    for array in (gaussians.means, gaussians.scales, gaussians.rotations, gaussians.opacities, gaussians.sh):
        assert np.isfinite(array).all()


def test_missing_harmonics_and_more_columns_are_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(table([*NAMES, "semantic"], np.concatenate([rows(), np.ones((1000, 1))], axis=1)))
    file = splat_files.read(tmp_path / "a.ply")
    gaussians, notes = file.gaussians, file.notes
    assert gaussians.sh.shape == (1000, 1, 3)
    assert notes == []


def splatt3r_export(gaussians: Gaussians) -> Any:
    """Gaussians as Splatt3R's own export writes them, with its faults.

    A covariance's SVD is U S Vᵀ, with V = U. The export writes U V for the rotation instead of U, as xyzw instead of
    wxyz, and opacities for their logits. numpy's SVD is LAPACK's, as that of Splatt3R's release is on the CPU.
    """
    u, s, vh = np.linalg.svd(covariances(gaussians).astype(np.float32))
    wxyz = np.stack([wxyz_from_matrix(m) for m in u @ vh.swapaxes(1, 2)])
    parts = [
        gaussians.means,
        gaussians.sh[:, 0],
        gaussians.opacities[:, None],
        np.log(np.sqrt(s)),
        np.roll(wxyz, -1, 1),
    ]
    return table(NAMES, np.concatenate(parts, axis=1))


def test_splatt3r_export_is_recognised_and_mended(tmp_path: Path) -> None:
    gaussians = random_gaussians(2000, 0)
    (tmp_path / "a.ply").write_bytes(splatt3r_export(gaussians))
    plain = splat_files.read(tmp_path / "a.ply")
    assert "looks like Splatt3R's own export" in plain.notes[0]
    assert plain.gaussians.opacities == pytest.approx(gaussians.opacities, abs=1e-6)
    mended = splat_files.read(tmp_path / "a.ply", repair_splatt3r=True)
    assert "were mended" in mended.notes[0]
    assert mended.gaussians.opacities == pytest.approx(gaussians.opacities, abs=1e-6)
    true, actual, wrong = (covariances(g) for g in (gaussians, mended.gaussians, plain.gaussians))
    size = np.linalg.norm(true, axis=(1, 2))
    assert (np.linalg.norm(actual - true, axis=(1, 2)) < 1e-2 * size).mean() > 0.95
    assert (np.linalg.norm(wrong - true, axis=(1, 2)) < 1e-2 * size).mean() < 0.05


def test_an_ordinary_file_is_no_splatt3r_export(tmp_path: Path) -> None:
    splat_files.write(random_gaussians(50, 0), tmp_path / "a.ply")
    assert splat_files.read(tmp_path / "a.ply").notes == []


def test_writing_fails_with_a_sentence_and_keeps_the_earlier_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gaussians = random_gaussians(10)
    with pytest.raises(UserError, match=r"cannot be written: let its name end on \.ply or \.spz"):
        splat_files.write(gaussians, tmp_path / "a.splat")
    with pytest.raises(UserError, match="could not be written"):
        splat_files.write(gaussians, tmp_path / "none" / "a.ply")
    splat_files.write(gaussians, tmp_path / "a.ply")
    before = (tmp_path / "a.ply").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(UserError, match="No space left"):
        splat_files.write(random_gaussians(20), tmp_path / "a.ply")
    assert (tmp_path / "a.ply").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.ply"]


def test_matrices_are_those_of_the_quaternions() -> None:
    """The tests read quaternions as the package does."""
    rotations = random_gaussians(20).rotations
    for q, m in zip(rotations, matrices(rotations), strict=True):
        assert abs(wxyz_from_matrix(m) @ q) == pytest.approx(1, abs=1e-6)

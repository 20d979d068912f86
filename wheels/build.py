"""Installable zips into dist/, packed by the builder of the installed bpy: `python wheels/build.py [TARGET …]`.

There is one zip for each platform and each generation of Blender's Python. It carries the wheels that `lock.txt` pins,
so it works at once and offline. The zip `any` carries no wheels and installs everywhere else. Without a TARGET, all
zips are made. The index of a static repository then lists what is in dist/.

`python wheels/build.py lock` looks up the hashes again after a version in `lock.txt` was changed. `python
wheels/build.py link TARGET FOLDER` makes a folder of an installed extension with links to this checkout's code, for
`nox -s dev`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
LOCK = Path(__file__).with_name("lock.txt")
MANIFEST = "blender_manifest.toml"
CONTENTS = ("__init__.py", "LICENSE", "threer_blender")

# Blender's platform -> the platform tags of wheels that run there, the newest first. pip knows which older tags of
# macOS they include, but not which of Linux.
PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_14_0_arm64",),
}
WITHOUT_WHEELS = ("linux-arm64", "macos-x64", "windows-arm64")
# Pythons with which Linux distributions build Blender, whatever its version.
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15")


@dataclass(frozen=True)
class Generation:
    """The versions of Blender from `first` up to but without `end`, whose official builds have this Python.

    `end` is None where no later version has another Python yet.
    """

    name: str
    python: str
    first: str
    end: str | None


GENERATIONS = (
    Generation("blender-4.2-to-5.0", "3.11", "4.2.0", "5.1.0"),
    Generation("blender-5.1-and-later", "3.13", "5.1.0", None),
)


@dataclass(frozen=True)
class Target:
    """The platform and the generation of Blender that a zip is for.

    Without a generation it is for every Blender, and the zip carries no wheels.
    """

    platform: str
    generation: Generation | None

    @property
    def name(self) -> str:
        """The target's name on the command line and in the zip's file name."""
        return self.platform if self.generation is None else f"{self.platform}-{self.generation.name}"


ANY = Target("any", None)
TARGETS = {target.name: target for target in (*(Target(p, g) for g in GENERATIONS for p in PLATFORMS), ANY)}


def main(arguments: Sequence[str]) -> None:
    """The command line."""
    if list(arguments) == ["lock"]:
        lock()
        return
    if list(arguments[:1]) == ["link"]:
        _, name, folder = arguments
        link(TARGETS[name], Path(folder))
        return
    unknown = set(arguments) - set(TARGETS)
    if unknown:
        sys.exit(f"There is no target {' or '.join(sorted(unknown))}; there are lock, {', '.join(TARGETS)}.")
    DIST.mkdir(exist_ok=True)
    if not arguments:
        for old in DIST.glob("*.zip"):
            old.unlink()
    for name in arguments or TARGETS:
        made = build(TARGETS[name], DIST)
        sys.stdout.write(f"{made.stat().st_size / 1e6:6.1f} MB  {made.relative_to(ROOT)}\n")
        sys.stdout.flush()
    write_index(DIST)


def build(target: Target, output: Path) -> Path:
    """Makes the zip of a target in the folder `output` and returns its path."""
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary)
        for name in CONTENTS:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, source)
        fields = _complete(target, source)
        zipped = output.absolute() / f"{fields['id']}-{fields['version']}-{target.name}.zip"
        _run_extension_tool("build", "--source-dir", str(source), "--output-filepath", str(zipped))
        _run_extension_tool("validate", str(zipped))
    return zipped


def link(target: Target, extension: Path) -> None:
    """Makes the folder `extension` look like the installed zip of a target, with links to this checkout's code."""
    if extension.exists():
        shutil.rmtree(extension)
    extension.mkdir(parents=True)
    for name in CONTENTS:
        (extension / name).symlink_to(ROOT / name)
    _complete(target, extension)


def _complete(target: Target, source: Path) -> dict[str, Any]:
    """Adds the target's wheels and manifest to an extension's folder. Returns the manifest's fields."""
    if target.generation is not None:
        _pip_download(target, source / "wheels", "--require-hashes", "--requirement", str(LOCK))
        for wheel in (source / "wheels").iterdir():
            _repack(wheel)
    text = manifest(target, sorted(path.name for path in source.glob("wheels/*")))
    (source / MANIFEST).write_text(text, "utf-8")
    return tomllib.loads(text)


def _repack(wheel: Path) -> None:
    """Packs a wheel again: NAME.data/platlib moves to its root, tests and symbols go, compression is the highest.

    pip moves platlib to the root, but Blender 4.2 does not, and pillow-heif has its libraries for Windows there. So
    packed, the largest zip stays below 150 MB.
    """
    name, version, _ = wheel.name.split("-", 2)
    below = f"{name}-{version}.data/platlib/"
    tight = wheel.with_suffix(".tight")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(tight, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for member in old.infolist():
            if member.is_dir() or "/tests/" in member.filename:
                continue
            content = without_symbols(old.read(member))
            if member.filename == f"{name}-{version}.dist-info/RECORD":
                content = content.replace(below.encode(), b"")
            new.writestr(member.filename.removeprefix(below), content)
    tight.replace(wheel)


def without_symbols(content: bytes) -> bytes:
    """A shared library for 64-bit Linux without the bytes after its last segment; any other file unchanged.

    Those bytes are the section table and the sections that are never loaded, above all symbols for debuggers: 19 MB in
    llvmlite. The loader reads the segments alone (System V ABI, "Program Header").
    """
    if not content.startswith(b"\x7fELF\x02\x01"):
        return content
    (table,) = struct.unpack_from("<Q", content, 0x20)  # the offset of the table of segments
    entry_size, count = struct.unpack_from("<HH", content, 0x36)
    ends = [table + entry_size * count]
    for segment in range(count):
        offset, _, _, length = struct.unpack_from("<4Q", content, table + segment * entry_size + 8)
        ends.append(offset + length)
    header = bytearray(content[:0x40])
    struct.pack_into("<Q", header, 0x28, 0)  # the offset of the table of sections
    struct.pack_into("<HH", header, 0x3C, 0, 0)  # the number of sections, and which of them names the others
    return bytes(header) + content[0x40 : max(ends)]


def manifest(target: Target, wheels: Sequence[str]) -> str:
    """The checkout's manifest for a target: with its platform, its versions of Blender, and its wheels."""
    text, _, _ = (ROOT / MANIFEST).read_text("utf-8").partition("\n[build]")  # [build] is for checkouts only
    generation = target.generation
    if generation is None:
        return text
    added = [f'blender_version_min = "{generation.first}"', f'platforms = ["{target.platform}"]']
    if generation.end is not None:
        added.append(f'blender_version_max = "{generation.end}"')
    added.append("wheels = [" + "".join(f'\n  "./wheels/{name}",' for name in wheels) + "\n]")
    return re.sub(r"^blender_version_min = .*$", "\n".join(added), text, count=1, flags=re.MULTILINE)


def write_index(folder: Path) -> None:
    """Writes index.json and index.html of a static repository of the zips in `folder`.

    Blender takes any one of the entries that fit it. So the entry of the zip without wheels, which fits everywhere, is
    narrowed here to where no other fits, since a manifest cannot say this.
    """
    _run_extension_tool("server-generate", "--repo-dir", str(folder), "--html")
    path = folder / "index.json"
    index = json.loads(path.read_text("utf-8"))
    entries = sorted(index["data"], key=lambda entry: str(entry["archive_url"]))
    index["data"] = [entry for entry in entries if "platforms" in entry]
    for entry in entries:
        if "platforms" not in entry:
            index["data"] += _narrowed(entry)
    path.write_text(json.dumps(index, indent=2) + "\n", "utf-8")


def _narrowed(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Copies of `entry`: one for the platforms without wheels, others for Pythons without wheels elsewhere."""
    narrowed = [{**entry, "platforms": list(WITHOUT_WHEELS)}]
    for generation in GENERATIONS:
        versions = {"blender_version_min": generation.first, "blender_version_max": generation.end}
        pythons = [python for python in PYTHONS if python != generation.python]
        more = {"platforms": list(PLATFORMS), "python_versions": pythons, **versions}
        narrowed.append({key: value for key, value in {**entry, **more}.items() if value is not None})
    return narrowed


def lock() -> None:
    """Writes the hashes of all targets' wheels into the lock, for the versions that it names."""
    pins = re.findall(r"^[\w-]+==[\w.]+", LOCK.read_text("utf-8"), re.MULTILINE)
    hashes: dict[str, set[str]] = {pin: set() for pin in pins}
    with tempfile.TemporaryDirectory() as temporary:
        for target in TARGETS.values():
            if target.generation is not None:
                _pip_download(target, Path(temporary), *pins)
        for wheel in Path(temporary).iterdir():
            name, version, _ = wheel.name.split("-", 2)
            hashes[f"{name.replace('_', '-')}=={version}"].add(hashlib.sha256(wheel.read_bytes()).hexdigest())
    about = "# What the zips carry, with the hash of each target's wheel. After a change: python wheels/build.py lock"
    lines = [" \\\n    ".join([pin, *(f"--hash=sha256:{value}" for value in sorted(hashes[pin]))]) for pin in pins]
    LOCK.write_text("\n".join([about, *lines, ""]), "utf-8")


def _pip_download(target: Target, folder: Path, *requirements: str) -> None:
    """Downloads the wheels of a target into `folder`. `requirements` are arguments of `pip download`."""
    assert target.generation is not None
    python = target.generation.python
    tags = [each for tag in PLATFORMS[target.platform] for each in ("--platform", tag)]
    tags += ["--python-version", python, "--implementation", "cp"]
    tags += ["--abi", f"cp{python.replace('.', '')}", "--abi", "abi3"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", *tags]
    subprocess.run([*command, "--dest", str(folder), *requirements], check=True)


def extension_tool() -> Path:
    """The path of Blender's own program that builds, validates and lists extensions, in the installed bpy."""
    spec = find_spec("bpy")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("Blender's own builder packs the zips: pip install bpy.")
    package = Path(spec.submodule_search_locations[0])
    return next(package.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"))


def _run_extension_tool(*arguments: str) -> None:
    """Runs Blender's tool. Where that fails, ends this program with the tool's output."""
    command = [sys.executable, str(extension_tool()), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"{ran.stdout}{ran.stderr}")


if __name__ == "__main__":
    main(sys.argv[1:])

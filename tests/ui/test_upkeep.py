"""An engine that is not ready, as an artist meets it: the filter, the terms, the download, the refusals, deleting."""

import os
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import bpy
import pytest

from tests.blender import drawn
from tests.blender.drawn import engines, panel
from tests.blender.extension import ADDON, choose, enable, part
from tests.file_server import CONTENT, HASH, Server

pytest_plugins = ["tests.blender.extension"]

SIZE = len(CONTENT)
ENGINE = '''
"""[R] An engine that counts photos, for tests."""
from ..model.engine import Cost, Engine, Weights

ENGINE = Engine(
    id="counter", label="Counter", summary="Counts photos.", licence="CC-BY-NC-4.0", commercial=False,
    produces=frozenset({{"cameras", "gaussians"}}), group="Gaussian splats", requires=({requires}),
    weights=(Weights("counter.bin", {url!r}, {size}, {sha256!r}, "Counter", "CC-BY-NC-4.0",
                     "https://example.org/terms", {gated}, {by_hand}),),
    costs={{"": Cost(memory={memory}, memory_per_photo=0.0, seconds=5.0, seconds_per_photo=1.0)}},
)


def reconstruct(photos, options, report):
    raise AssertionError
'''


@pytest.fixture
def server() -> Iterator[Any]:
    with Server() as server:
        server.url = server.url.replace("net.bin", "counter.bin")
        yield server


@pytest.fixture
def declare(repository: Path, server: Any, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Enables the add-on with one more engine, declared as the test says."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_HOME", str(data_folder / "hugging face"))
    file = repository / "threer_blender" / "threer_blender" / "engines" / "counter.py"

    def declare(
        requires: str = "", gated: bool = False, memory: float = 1e6, size: Any = SIZE, sha256: str = HASH,
        by_hand: bool = False,
    ) -> Any:  # fmt: skip
        facts = {"url": server.url, "size": size, "sha256": sha256, "gated": gated, "by_hand": by_hand}
        text = ENGINE.format(requires=requires, memory=memory, **facts)
        file.write_text(text)
        # Python takes compiled code of the same second and length for that of this text.
        Path(cache_from_source(str(file))).unlink(missing_ok=True)
        enable(repository)
        bpy.context.scene.threer.engine = "counter"
        return part("engines.registry").engine("counter")

    yield declare
    bpy.context.preferences.system.use_online_access = False
    bpy.ops.preferences.addon_disable(module=ADDON)
    file.unlink()


def preferences() -> Any:
    return bpy.context.preferences.addons[ADDON].preferences


def online() -> None:
    bpy.context.preferences.system.use_online_access = True


def test_from_the_terms_to_the_button(declare: Any, server: Any, data_folder: Path, tmp_path: Path) -> None:
    declare()
    assert "threer.download_weights" in panel()
    assert "threer.reconstruct" not in panel()
    assert "Makes cameras, splats" in engines()
    assert "No commercial use: CC-BY-NC-4.0" in engines()

    with pytest.raises(RuntimeError, match="Accept the terms of Counter"):
        bpy.ops.threer.download_weights(engine="counter")
    with pytest.raises(RuntimeError, match="may not use the internet now"):
        bpy.ops.threer.download_weights(engine="counter", accept=True)
    assert server.requests == []

    online()
    bpy.ops.threer.download_weights(engine="counter")  # the terms are accepted once
    assert (data_folder / "weights" / "counter.bin").read_bytes() == CONTENT
    assert part("ui.work").current().success == "counter.bin is complete and is the published file."
    (tmp_path / "photos").mkdir()
    assert "threer.reconstruct" in panel()

    bpy.ops.threer.delete_weights(name="counter.bin")
    assert not (data_folder / "weights" / "counter.bin").exists()
    assert "threer.download_weights" in panel()


def test_a_download_that_fails_is_said_and_goes_on(declare: Any, server: Any, data_folder: Path) -> None:
    declare()
    online()
    server.codes = [404]
    with pytest.raises(RuntimeError, match="not at its address any more"):
        bpy.ops.threer.download_weights(engine="counter", accept=True)
    assert "not at its address any more" in panel()
    partial = data_folder / "weights" / ".threer" / "counter.bin.partial"
    partial.write_bytes(CONTENT[:400_000])
    bpy.ops.threer.download_weights(engine="counter")
    assert server.requests[-1][1]["Range"] == "bytes=400000-"
    assert "not at its address" not in panel()


def test_a_file_of_ones_own_is_used_instead_of_a_download(
    declare: Any, server: Any, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = declare()
    assert "threer.use_weights" in panel()
    mine = tmp_path / "mine.pth"
    with pytest.raises(RuntimeError, match="There is no weights file"):
        bpy.ops.threer.use_weights(name="counter.bin", filepath=str(mine))
    mine.write_bytes(b"my own")
    bpy.ops.threer.use_weights(name="counter.bin", filepath=str(mine))
    assert "threer.reconstruct" in panel()
    assert f"counter.bin: {mine}" in drawn.preferences()
    monkeypatch.setenv("THREER_HOME", str(data_folder))  # as in every worker
    assert part("runtime.weights").locate(engine.weights[0]) == mine
    bpy.ops.threer.delete_weights(name="counter.bin")
    assert mine.read_bytes() == b"my own"
    assert "threer.download_weights" in panel()
    assert server.requests == []


def test_a_hash_that_nobody_published_is_forgotten_on_a_click(declare: Any, data_folder: Path) -> None:
    (weights,) = declare(sha256="", size=0).weights
    store = part("host.store").default(data_folder)
    store.path(weights).parent.mkdir(parents=True)
    store.path(weights).write_bytes(CONTENT)
    store.verify(weights, store.path(weights))
    assert "threer.forget_hash" not in panel()
    store.note_fits_network(weights, store.path(weights))
    assert store.pinned(weights) == HASH
    bpy.ops.threer.forget_hash(name=weights.name)
    assert store.pinned(weights) == ""


def test_a_gated_file_needs_the_users_own_token(declare: Any, server: Any, data_folder: Path) -> None:
    declare(gated=True)
    online()
    server.needs_token = "hf_secret"
    with pytest.raises(RuntimeError, match=r"needs your own token: ask for access at https://example\.org/terms"):
        bpy.ops.threer.download_weights(engine="counter", accept=True)
    assert server.requests == []
    preferences().token = "hf_wrong"
    with pytest.raises(RuntimeError, match=r"refused your token \(403\)"):
        bpy.ops.threer.download_weights(engine="counter")
    preferences().token = "hf_secret"
    bpy.ops.threer.download_weights(engine="counter")
    assert (data_folder / "weights" / "counter.bin").exists()
    retained = [path.read_bytes() for path in data_folder.rglob("*") if path.is_file()]
    assert not any(b"hf_secret" in content or b"hf_wrong" in content for content in retained)
    preferences().token = ""


def test_weights_that_only_a_browser_gets_are_taken_from_a_file(declare: Any, server: Any, tmp_path: Path) -> None:
    engine = declare(by_hand=True, size=0, sha256="")
    assert "Open Their Page" in panel()
    assert "threer.download_weights" not in panel()
    online()
    with pytest.raises(RuntimeError, match=r"counter\.bin has no address of its own: download it from http"):
        bpy.ops.threer.download_weights(engine="counter", accept=True)
    assert server.requests == []
    with pytest.raises(part("model.errors").UserError, match="Use My File"):
        part("runtime.weights").locate(engine.weights[0])
    file = tmp_path / "mine.bin"
    file.write_bytes(CONTENT)
    bpy.ops.threer.use_weights(name="counter.bin", filepath=str(file))
    assert "Open Their Page" not in panel()


def test_the_weights_folder_can_be_chosen(declare: Any, tmp_path: Path) -> None:
    declare()
    online()
    preferences().weights_folder = str(tmp_path / "shared weights")
    bpy.ops.threer.download_weights(engine="counter", accept=True)
    assert (tmp_path / "shared weights" / "counter.bin").exists()
    preferences().weights_folder = ""
    assert "THREER_WEIGHTS" not in os.environ
    assert "threer.download_weights" in panel()


@pytest.mark.usefixtures("addon")
@pytest.mark.parametrize(
    ("engine", "terms", "size"),
    [
        ("depth_anything3", "Commercial use is allowed: Apache-2.0", "541.5 MB"),
        ("map_anything", "Commercial use is allowed: Apache-2.0", "4.9 GB"),
        ("vggt_commercial", "Commercial use is allowed: VGGT License v1", "5.0 GB"),
        ("vggt", "No commercial use: CC-BY-NC-4.0", "5.0 GB"),
        ("vggt_omega", "No commercial use: FAIR Noncommercial Research License", "4.6 GB"),
        ("fast3r", "No commercial use: FAIR Noncommercial Research License", ""),
    ],
)
def test_an_engine_says_what_it_makes_and_on_what_terms(engine: str, terms: str, size: str) -> None:
    bpy.context.scene.threer.engine = engine
    text = engines().replace("- ", "-")  # where lines break
    assert part("engines.registry").engine(engine).summary in text
    assert "Makes cameras, depth, points" in text
    assert terms in text
    assert not size or size in text
    assert "Refine a result" not in text  # which is a button on a result
    assert "Classical" in text


def test_offline_the_panel_offers_to_allow_the_internet(declare: Any) -> None:
    declare()
    assert part("ui.upkeep").ALLOW_ONLINE in panel()
    online()
    assert part("ui.upkeep").ALLOW_ONLINE not in panel()


def test_the_commercial_filter_hides_and_refuses(declare: Any, data_folder: Path, tmp_path: Path) -> None:
    declare(size=0)
    (data_folder / "weights").mkdir()
    (data_folder / "weights" / "counter.bin").write_bytes(CONTENT)
    assert "threer.reconstruct" in panel()
    preferences().commercial_only = True
    assert "Counter" not in engines().replace("Counts photos", "")
    assert "Counter may not be used commercially" in panel()
    assert "threer.reconstruct" not in panel()
    choose_photo(tmp_path)
    with pytest.raises(RuntimeError, match="may not be used commercially"):
        bpy.ops.threer.reconstruct()
    preferences().commercial_only = False


def test_the_commercial_filter_refuses_an_option_that_forbids_it(declare: Any, tmp_path: Path) -> None:
    """InstantSplat's own terms allow it, those of some engines that it can start from do not."""
    declare()
    settings = bpy.context.scene.threer
    settings.engine = "instantsplat"
    choose_photo(tmp_path)
    preferences().commercial_only = True
    assert "may not be used commercially" not in panel()
    settings.options_instantsplat.start = "dust3r"
    sentence = "InstantSplat may not be used commercially with Start from: DUSt3R"
    assert sentence in panel()
    assert "threer.reconstruct" not in panel()
    with pytest.raises(RuntimeError, match=sentence):
        bpy.ops.threer.reconstruct()
    preferences().commercial_only = False


def test_what_a_python_lacks_is_set_up_on_a_click(declare: Any) -> None:
    declare(requires="'torch', 'no_such_module'")
    assert "needs no_such_module first. Set Up puts it into a folder of its own." in panel()
    assert "threer.set_up" in panel()
    with pytest.raises(RuntimeError, match="may not use the internet now"):
        bpy.ops.threer.set_up(engine="counter")
    online()
    with pytest.raises(RuntimeError, match="no_such_module cannot be set up; update the extension"):
        bpy.ops.threer.set_up(engine="counter")


def test_what_does_not_fit_is_said_before_and_refused(declare: Any, data_folder: Path, tmp_path: Path) -> None:
    declare(memory=1e15, size=0)
    (data_folder / "weights").mkdir()
    (data_folder / "weights" / "counter.bin").write_bytes(CONTENT)
    choose_photo(tmp_path)
    assert "1 photo takes about 1000000.0 GB of memory with Counter" in panel()
    with pytest.raises(RuntimeError, match="GB are free; close other programs, or take another engine"):
        bpy.ops.threer.reconstruct()


def choose_photo(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"")
    choose(folder)


@pytest.mark.usefixtures("addon")
def test_the_preferences_show_what_is_there(data_folder: Path) -> None:
    text = drawn.preferences()
    assert "Classical: ready" in text
    assert "private environment: none" in text
    assert "GB of memory free" in text
    assert data_folder.is_dir()

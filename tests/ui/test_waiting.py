"""Blender's window never waits: what takes a while is done on threads, and whatever goes wrong there ends in words."""

import os
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import pytest

from tests.blender.drawn import engines, panel, preferences
from tests.blender.extension import ADDON, enable, part, start, until
from tests.processes import gone
from threer_blender.host.environment import Interpreter
from threer_blender.jobs.messages import Failed, ReconstructionRequest, from_line
from threer_blender.jobs.process import Job
from threer_blender.ui import known as known_things

pytest_plugins = ["tests.blender.extension"]

LINES = [
    "", "hello", "null", "[]", "7", '"x"', "{}", "{", '{"type": []}', '{"type": {}}', '{"type": null}',
    '{"type": "progress"}',
    '{"type": "progress", "stage": 7, "fraction": 0.5}', '{"type": "progress", "stage": "x", "fraction": "0.5"}',
    '{"type": "progress", "stage": "x", "fraction": NaN}', '{"type": "progress", "stage": "x", "fraction": Infinity}',
    '{"type": "progress", "stage": "x", "fraction": true}', '{"type": "progress", "stage": "x", "fraction": [0.5]}',
    '{"type": "progress", "stage": "x", "fraction": 0.5, "cancel_delivers": "yes"}',
    '{"type": "warning", "text": {"a": 1}}',
    '{"type": "preview", "path": null}', '{"type": "done", "bundle": 1, "registered": 1, "chosen": 1, "points": 1}',
    '{"type": "done", "bundle": "x", "registered": "1", "chosen": 1, "points": 1}', '{"type": "finished", "text": 7}',
    '{"type": "done", "bundle": "x", "registered": 1e400, "chosen": 1, "points": 1}',
    '{"type": "failed", "text": null}',
    '{"type": "request", "photos": "x", "engine": "x", "output": "x"}', '{"type": "finished"}',
    '{"type": "progress", "stage": "x", "fraction": ' + "9" * 5000 + "}", "[" * 100_000, "{\"a\":" * 50_000, "\\ud800",
    '{"type": "progress", "stage": "x", "fraction": 0.5, "more": 1}',
]  # fmt: skip


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_a_line_that_is_no_message_is_a_value_error_whatever_it_holds(line: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_line(line)


def test_a_worker_that_talks_nonsense_ends_in_a_sentence(work: ModuleType, photo_folder: Path) -> None:
    """Each line from a real process, by way of the reader thread."""
    for line in [*LINES[1:8], LINES[14], LINES[28], "x" * 3_000_000, "\x00" * 100]:
        (photo_folder / "nonsense").write_text(line)
        task = start(work, photo_folder)
        until(work, lambda task=task: task.ended)
        assert isinstance(task.ended, part("jobs.messages").Failed)
        assert "said something unexpected" in task.ended.text or "ended unexpectedly" in task.ended.text
        assert not (photo_folder / "3R results").exists()
        panel()
    (photo_folder / "nonsense").unlink()


def test_a_job_is_tidied_up_on_a_thread(work: ModuleType, photo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for a process's end and deleting its files is none of the window's work."""
    (photo_folder / "go").touch()
    removal, threads = part("files.removal"), []
    discard = removal.discard

    def heard(folder: Path) -> None:
        threads.append(threading.current_thread())
        discard(folder)

    monkeypatch.setattr(removal, "discard", heard)
    task = start(work, photo_folder)
    until(work, lambda: task.ended)
    assert threads
    assert threading.main_thread() not in threads


def test_a_request_longer_than_a_pipe_holds_is_sent_on_a_thread(tmp_path: Path) -> None:
    """The worker reads nothing. Were the request written at once, the job would never begin."""
    deaf = tmp_path / "python"
    deaf.write_text("#!/bin/sh\nexec sleep 600\n")
    deaf.chmod(0o755)
    begun: list[Job] = []
    request = ReconstructionRequest(["x" * 3_000_000], "fake", str(tmp_path / "result"))
    thread = threading.Thread(
        target=lambda: begun.append(Job(request, Interpreter(deaf, ()), tmp_path / "home")), daemon=True
    )
    thread.start()
    thread.join(30)
    assert begun
    begun[0].close()
    assert isinstance(begun[0].ended, Failed)
    assert begun[0].ended.kind == "cancelled"
    assert gone(begun[0].pid)


def test_the_timer_survives_whatever_is_raised(
    work: ModuleType, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photo_folder / "go").touch()
    task = start(work, photo_folder)

    def broken() -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(work.current().queue, "poll", broken)
        assert work.tick() == work.INTERVAL
    assert "Something went wrong in the extension's queue" in panel()
    until(work, lambda: task.ended and not work.current().arrived)
    assert isinstance(task.ended, part("jobs.messages").Done)


def test_a_start_that_fails_in_any_way_is_said(
    work: ModuleType, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (OSError("no such file"), RuntimeError("boom"), ValueError("x"), MemoryError()):

        def broken(*_given: Any, error: Any = error) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(part("headless"), "begin", broken)
            task = start(work, photo_folder)
            until(work, lambda task=task: task.ended)
        assert "process could not be started" in work.current().error
        assert panel()


def test_a_task_is_cancelled_while_it_starts(
    work: ModuleType, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = part("headless").begin

    def slow(*given: Any) -> Any:
        time.sleep(0.3)
        return begin(*given)

    monkeypatch.setattr(part("headless"), "begin", slow)
    task = start(work, photo_folder)
    work.tick()
    assert task.job is None
    work.cancel(task)
    until(work, lambda: task.ended)
    assert task.ended.kind == "cancelled"


def test_what_drawing_asks_for_is_found_on_a_thread() -> None:
    drawn = known_things.Known(at_once=False)
    calls, ready = [], threading.Event()

    def find() -> str:
        calls.append(ready.wait(30))
        return "found"

    assert [drawn.get("a", find, "not yet") for _ in range(100)] == ["not yet"] * 100
    assert drawn.is_seeking
    ready.set()
    while drawn.is_seeking:
        time.sleep(0.01)
    assert drawn.get("a", find, "not yet") == "found"
    assert len(calls) == 1
    drawn.forget()
    assert drawn.get("a", find, "not yet") == "found"
    while drawn.is_seeking:
        time.sleep(0.01)
    assert len(calls) == 2

    def broken() -> None:
        raise ZeroDivisionError

    drawn.get("b", broken, "not yet")
    while drawn.is_seeking:
        time.sleep(0.01)
    assert drawn.get("b", broken, "not yet") == "not yet"
    drawn.close()


@pytest.mark.usefixtures("addon")
def test_drawing_asks_the_driver_on_a_thread_and_once(monkeypatch: pytest.MonkeyPatch, photo_folder: Path) -> None:
    work = part("ui.work").current()
    monkeypatch.setattr(work, "known", part("ui.known").Known(at_once=False))
    hardware, threads = part("host.hardware"), []

    def graphics_cards() -> Any:
        threads.append(threading.current_thread())
        return ()

    monkeypatch.setattr(hardware, "graphics_cards", graphics_cards)
    bpy.ops.threer.choose_photos(directory=str(photo_folder))
    bpy.context.scene.threer.engine = "vggt"
    (photo_folder.parent / "home" / "weights").mkdir()
    for draw in (panel, engines, preferences):
        for _ in range(20):
            draw()
    while work.known.is_seeking:
        time.sleep(0.01)
    assert threads
    assert threading.main_thread() not in threads
    assert len(threads) <= 2  # for the preferences, and for the estimate


GARBAGE = [b"", b"\x00\xff\xfe", b"{", b"[]", b"null", b"7", b'{"result": 7, "made parent": true}', b"[" * 200_000]


@pytest.mark.parametrize("content", GARBAGE, ids=range(len(GARBAGE)))
def test_state_that_cannot_be_read_stops_nothing(
    repository: Path,
    data_folder: Path,
    fresh_file: None,  # noqa: ARG001
    content: Any,
) -> None:
    for name in ("not imported/a", "not imported/b", "weights/.threer/x.json", "environment/threer.json", "logs/a.log"):
        (data_folder / name).parent.mkdir(parents=True, exist_ok=True)
        (data_folder / name).write_bytes(content)
    (data_folder / "not imported" / "folder").mkdir()
    (data_folder / "not imported" / "link").symlink_to("nowhere")
    if os.geteuid() != 0:
        (data_folder / "not imported" / "a").chmod(0)
    enable(repository)
    try:
        assert part("ui.work").current().offered == []
        panel()
        preferences()
    finally:
        bpy.ops.preferences.addon_disable(module=ADDON)


def test_notes_that_are_files_or_folders_of_another_kind(repository: Path, data_folder: Path, fresh_file: None) -> None:  # noqa: ARG001
    (data_folder / "not imported").write_text("a file")
    (data_folder / "logs").write_text("a file")
    (data_folder / "weights").write_text("a file")
    (data_folder / "environment").write_text("a file")
    enable(repository)
    try:
        panel()
        preferences()
    finally:
        bpy.ops.preferences.addon_disable(module=ADDON)
